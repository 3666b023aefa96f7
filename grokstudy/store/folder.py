"""The study folder: what a study is, in files. The only truth; everything else can be rebuilt from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.spec.names import check_study_name
from grokstudy.spec.rows import CheckpointRow, CurveRows, MeasureRow, ProposalRow, TrialRow
from grokstudy.store import parts
from grokstudy.store.storage import Storage


@dataclasses.dataclass(frozen=True, slots=True)
class StudyFolder:
    """One study under a storage root. Writers only ever add parts, so any number may write at a time."""

    storage: Storage
    name: str

    def __post_init__(self) -> None:
        check_study_name(self.name)

    @classmethod
    def open(cls, root_uri: str, name: str) -> StudyFolder:
        """The folder of study `name`; nothing is written. Raises BadInput for a name or root that cannot be."""
        return cls(Storage.open(root_uri), name)

    def exists(self) -> bool:
        """Whether a study was begun here."""
        return self.storage.exists(self.key("study.yaml"))

    def put_trials(self, rows: Sequence[TrialRow]) -> None:
        """Adds rows of trials as one part. Put their curves and checkpoints first: a row says that they are there."""
        if rows:
            self.put_part("trials", parts.encode(parts.trial_table(rows)))

    def put_curves(self, curves: Sequence[CurveRows]) -> None:
        """Adds evaluations as one part; a later part replaces equal steps of a trial."""
        if curves:
            self.put_part("curves", parts.encode(parts.curve_table(curves)))

    def put_measures(self, rows: Sequence[MeasureRow]) -> None:
        """Adds measures as one part."""
        if rows:
            self.put_part("measures", parts.encode(parts.measure_table(rows)))

    def put_index(self, rows: Sequence[CheckpointRow]) -> None:
        """Adds rows that say where checkpoints lie. Put them after the checkpoint files."""
        if rows:
            self.put_part("checkpoints", parts.encode(parts.checkpoint_table(rows)))

    def put_proposals(self, rows: Sequence[ProposalRow]) -> None:
        """Adds proposals as one part. Put them before their trials start."""
        if rows:
            self.put_part("proposals", parts.encode(parts.proposal_table(rows)))

    def put_part(self, kind: parts.Kind, data: bytes, stamp: str | None = None) -> str:
        """Adds an encoded part, by default as the newest of its kind; its name."""
        name = parts.part_name(kind, data, stamp)
        self.put_bytes(name, data)
        return name

    def put_text(self, name: str, text: str) -> None:
        self.put_bytes(name, text.encode())

    def get_text(self, name: str) -> str | None:
        """The text of a file of the folder, None if there is none."""
        data = self.get_bytes(name)
        return None if data is None else data.decode()

    def put_bytes(self, name: str, data: bytes) -> None:
        """Writes a file of the folder (study.yaml, attempts/..., report/...), replacing it as a whole."""
        self.storage.put(self.key(name), data)

    def get_bytes(self, name: str) -> bytes | None:
        try:
            return self.storage.get(self.key(name))
        except FileNotFoundError:
            return None

    def names(self, prefix: str) -> list[str]:
        """Sorted names below `prefix`, relative to the study folder."""
        return [key.removeprefix(f"{self.name}/") for key in self.storage.list(self.key(prefix))]

    def parts(self, kind: parts.Kind) -> list[str]:
        """Names of the parts of a kind, oldest first."""
        prefix = parts.PREFIXES[kind]
        keys = self.storage.direct(self.key(prefix.partition("/")[0]))
        names = [key.removeprefix(f"{self.name}/") for key in keys]
        return [name for name in names if name.startswith(prefix) and name.endswith(".parquet")]

    def size(self) -> int:
        """Bytes of all its files."""
        return sum(self.storage.size(self.key(name)) for name in self.names(""))

    def delete(self, names: Sequence[str]) -> None:
        self.storage.delete([self.key(name) for name in names])

    def key(self, name: str) -> str:
        return f"{self.name}/{name}"

    def where(self, name: str) -> str:
        """Path or URI of a file of the folder, for people."""
        return f"{self.storage.uri}/{self.key(name)}"
