"""Parents of forks: from what a person writes in `init.from` to a trial, a step and the files that hold its state."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from grokstudy.execution.job import LaneRef, StartRef
from grokstudy.spec.axes import is_seed
from grokstudy.spec.errors import BadInput, nearest
from grokstudy.spec.identity import config_columns
from grokstudy.spec.interfaces import Optimizer
from grokstudy.spec.rows import CheckpointRow, TrialRow
from grokstudy.spec.trial import FORK, Init, TrialSpec
from grokstudy.store.checkpoints import STATE, checkpoints_of, lane_shapes
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import snapshots
from grokstudy.store.storage import Storage
from grokstudy.store.trial_rows import trial_rows
from grokstudy.store.views import connect
from grokstudy.study.document import stored_spec
from grokstudy.study.listing import listed, nearest_steps

KEY = "init.from"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """A trial in one of the studies that have it, with its checkpoints by rising step."""

    folder: StudyFolder
    row: TrialRow
    checkpoints: Mapping[int, CheckpointRow]


class Parents:
    """The trials under one storage root, read when they are asked for and then kept."""

    def __init__(self, storage: Storage, own: str | None) -> None:
        """`own` = name of the forks' own study, in which no parent is looked up by seeds."""
        self._storage, self._own = storage, own
        self._rows: dict[str, dict[str, TrialRow]] = {}
        self._found: dict[str, list[Found]] = {}
        self._shapes: dict[tuple[object, object], dict[str, tuple[int, ...]]] = {}

    def resolved(self, spec: TrialSpec) -> str | None:
        """`init.from` of a trial as full trial_id and step, which is what enters its identity.

        Raises:
            BadInput: there is no such trial, several fit, or it has no such step.
        """
        text, keeps = spec.init.from_, spec.init.optimizer_state == "keep"
        if text is None or (spec.init.is_resolved and not keeps):
            return text
        name, _, place = text.partition("@")
        step, _, updates = place.partition("+")
        if FORK.fullmatch(text):
            identity = name
        elif name in self._storage.studies():
            identity = self._of_study(name, spec)
        else:
            identity = self._of_prefix(name, text)
        start = f"{identity}@{step if step.isdigit() else self._named_step(identity, step, name)}"
        offset = _offset(self._holders(identity)[0].row) if keeps else 0
        if updates and int(updates) != offset:
            raise BadInput(f"{KEY}: got '{text}', but its parent's optimizer had made {offset} updates; write {start}.")
        return f"{start}+{offset}" if offset else start

    def start(self, spec: TrialSpec, *, resumed: bool) -> StartRef:
        """Where the first weights of a fork are stored, after checking that it can start from them.

        Args:
            spec: a fork, resolved.
            resumed: it has made updates already, so that its parent's optimizer state is no longer needed.

        Raises:
            BadInput: the parent has no checkpoint at this step, other shapes, or no optimizer state to keep.
        """
        assert spec.init.parent is not None
        identity, step = spec.init.parent
        holders = self._holders(identity)
        having = [found for found in holders if step in found.checkpoints]
        if not having:
            raise _no_checkpoint(identity, step, {at for found in holders for at in found.checkpoints})
        self._check_shapes(spec, having[0])
        first = StartRef(study=having[0].folder.name, checkpoint=having[0].checkpoints[step])
        if spec.init.optimizer_state == "reset" or resumed:
            return first
        _check_optimizer(spec, having[0].row)
        for found in having:
            place = _state_place(found, step)
            if place is not None:
                return dataclasses.replace(place, keeps_state=True)
        raise BadInput(
            f"init.optimizer_state: got keep, but trial {identity} has no optimizer state at step {step} (only where "
            "it ended, or everywhere with checkpoint.state=true). Run the parent with checkpoint.state=true under "
            "another --name, fork its end, or use init.optimizer_state=reset."
        )

    def _of_prefix(self, prefix: str, text: str) -> str:
        known = {identity for name in self._studies() for identity in self._trials(name)}
        matches = sorted(identity for identity in known if identity.startswith(prefix))
        if len(matches) > 1:
            raise BadInput(
                f"{KEY}: got '{text}', {len(matches)} trials start like this: {listed(matches)}. Give more digits."
            )
        if not matches:
            names = self._storage.studies()
            raise BadInput(
                f"{KEY}: got '{text}', but no trial starts with '{prefix}' and no study has this name"
                f"{nearest(prefix, names)} `grokstudy trials STUDY` lists trials; studies here: "
                f"{listed(names)}. A trial can be forked once it has ended."
            )
        return matches[0]

    def _of_study(self, name: str, spec: TrialSpec) -> str:
        """The study's trial with the fork's seeds; of several, the one with its values of the study's axes."""
        if name == self._own:
            raise BadInput(
                f"{KEY}: got '{spec.init.from_}', which is the fork's own study. Give the fork another --name, or name "
                "the trial."
            )
        rows = [row for row in self._trials(name).values() if _seeds_of(row) == dataclasses.astuple(spec.seeds)]
        if not rows:
            seeds = ", ".join(f"{key} {value}" for key, value in dataclasses.asdict(spec.seeds).items())
            raise BadInput(
                f"{KEY}: got '{spec.init.from_}', but study '{name}' has no trial with the fork's seeds ({seeds}). "
                "Give the fork the parent's seed, or name the trial."
            )
        stored = stored_spec(StudyFolder(self._storage, name))
        axes = [axis.path for axis in stored.axes if not is_seed(axis.path) and axis.path != KEY] if stored else []
        own = config_columns(spec)
        alike = [row for row in rows if all(row.config.get(path) == own[path] for path in axes if path in own)]
        chosen = rows if len(rows) == 1 else alike
        if len(chosen) == 1:
            return chosen[0].trial_id
        candidates = [
            f"{row.trial_id} ({', '.join(f'{p}={row.config.get(p)}' for p in axes)})" for row in alike or rows
        ]
        raise BadInput(
            f"{KEY}: got '{spec.init.from_}', but of the trials of '{name}' with the fork's seeds "
            f"{len(alike) or 'none'} of {len(rows)} {'have' if len(alike) != 1 else 'has'} its values of the axes: "
            f"{listed(candidates)}. Name the trial."
        )

    def _named_step(self, identity: str, name: str, study: str) -> int:
        """`end`: the trial's last step. `t_mem`, `t_gen`: its first checkpoint at or after that time.

        As it stands in `study`, or where it came furthest if that is no study that has it.
        """
        holders = self._holders(identity)
        found = max(holders, key=lambda found: (found.folder.name == study, found.row.steps_run))
        if name == "end":
            return found.row.steps_run
        time = found.row.t_mem if name == "t_mem" else found.row.t_gen
        if time is None:
            raise BadInput(
                f"{KEY}: trial {identity} has no {name} within its {found.row.steps_run} steps. Name a step, or train "
                "it for longer (--steps)."
            )
        steps = sorted({at for each in holders for at in each.checkpoints if at >= time})
        if not steps:
            raise _no_checkpoint(identity, time, set(found.checkpoints))
        return steps[0]

    def _holders(self, identity: str) -> list[Found]:
        """The trial in every study that has it."""
        if identity not in self._found:
            folders = [StudyFolder(self._storage, name) for name in self._studies() if identity in self._trials(name)]
            self._found[identity] = [
                Found(
                    folder=folder,
                    row=self._trials(folder.name)[identity],
                    checkpoints=checkpoints_of(folder, identity),
                )
                for folder in folders
            ]
        if not self._found[identity]:
            raise BadInput(
                f"{KEY}: no trial {identity} under {self._storage.uri}. A trial can be forked once it has ended, and "
                "where its study lies."
            )
        return self._found[identity]

    def _studies(self) -> Iterator[str]:
        """Names of the studies, those first that were read already."""
        yield from sorted(self._storage.studies(), key=lambda name: name not in self._rows)

    def _trials(self, name: str) -> Mapping[str, TrialRow]:
        """The trials of a study that can be parents, by id."""
        if name not in self._rows:
            with connect([StudyFolder(self._storage, name)]) as connection:
                rows = trial_rows(connection)
            self._rows[name] = {row.trial_id: row for row in rows if row.status != "failed"}
        return self._rows[name]

    def _check_shapes(self, spec: TrialSpec, found: Found) -> None:
        assert spec.init.parent is not None
        row = found.checkpoints[spec.init.parent[1]]
        stored = {name: shape for name, shape in lane_shapes(found.folder, row).items() if not name.startswith(STATE)}
        key = (spec.model, spec.task.shape())
        if key not in self._shapes:
            drawn = spec.model.init(spec.task.shape(), spec.seeds.init)
            self._shapes[key] = {name: tuple(tensor.shape) for name, tensor in drawn.items()}
        own = self._shapes[key]
        wrong = sorted(name for name in stored.keys() | own.keys() if stored.get(name) != own.get(name))
        if not wrong:
            return
        columns = config_columns(spec)
        differ = [
            f"{path}={value} there, {columns.get(path)} here"
            for path, value in found.row.config.items()
            if path.startswith(("model.", "task.")) and columns.get(path) != value
        ]
        name = wrong[0]
        raise BadInput(
            f"{KEY}: {spec.init.from_} has {name} {list(stored[name]) if name in stored else 'not'}, this trial's "
            f"model {list(own[name]) if name in own else 'not'}. A fork has its parent's shapes; give it the parent's "
            f"settings: {listed(differ or ['model and task'])}."
        )


def _check_optimizer(spec: TrialSpec, parent: TrialRow) -> None:
    """Raises BadInput unless the parent's optimizer state means to the fork's optimizer what it meant to its own."""
    columns = config_columns(spec)
    defaults = {f"optimizer.{field.name}": field.default for field in dataclasses.fields(Optimizer)}
    for path in ("optimizer.name", "optimizer.filter", "optimizer.filter_window"):
        before = parent.config.get(path, defaults.get(path))
        if columns[path] != before:
            raise BadInput(
                f"init.optimizer_state: got keep, but {path} is {before} in the parent and {columns[path]} here. "
                f"Set {path.removesuffix('.name')}={before}, or init.optimizer_state=reset."
            )


def _state_place(found: Found, step: int) -> StartRef | None:
    """Weights with optimizer state of this step: in a checkpoint, or in a snapshot taken then."""
    ref = StartRef(study=found.folder.name, checkpoint=found.checkpoints[step])
    if any(name.startswith(STATE) for name in lane_shapes(found.folder, ref.checkpoint)):
        return ref
    for meta in snapshots(found.folder):
        if meta.step == step and found.row.trial_id in meta.trial_ids:
            lane = LaneRef(pack_id=meta.pack_id, lane=meta.trial_ids.index(found.row.trial_id))
            return dataclasses.replace(ref, state=lane)
    return None


def _no_checkpoint(identity: str, step: int, steps: set[int]) -> BadInput:
    return BadInput(
        f"{KEY}: trial {identity} has no checkpoint at step {step}; nearest: {nearest_steps(steps, step)}. Name one of "
        f"them, or run the parent with checkpoint.steps=[{step}] under another --name."
    )


def _offset(row: TrialRow) -> int:
    """Updates that a trial's optimizer had made before its first one."""
    start = row.config.get("init.from")
    kept = row.config.get("init.optimizer_state") == "keep"
    return Init(from_=str(start), optimizer_state="keep").offset if kept else 0


def _seeds_of(row: TrialRow) -> tuple[int, ...]:
    return row.seed_data, row.seed_init, row.seed_batch, row.seed_noise
