"""What lies in a study folder is data: whoever can write there runs nothing here, and reading ends in a sentence."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch

import grokstudy as gs
from grokstudy.spec.errors import GrokstudyError
from grokstudy.store.checkpoints import checkpoints, load_lane
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import LOCK
from grokstudy.store.owner import owner_in
from grokstudy.store.snapshots import get_snapshot, snapshots
from grokstudy.study.document import stored_layout, stored_spec
from grokstudy.study.share import share_study

SMALL = ("preset=quad23", "task.p=7", "model.width=8", "tracking=none", "cluster=none", "seed=seeds(2)")


class Bomb:
    """Makes the file `path` when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made")
    gs.run(*SMALL, "measures.names=[norms]", name="s", steps=20, root=str(root), progress=False)
    return root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> StudyFolder:
    shutil.copytree(made / "s", tmp_path / "root" / "s")
    return StudyFolder.open(str(tmp_path / "root"), "s")


@pytest.fixture
def fuse(tmp_path: Path) -> Iterator[Path]:
    """A path that nothing may make."""
    path = tmp_path / "it ran"
    yield path
    assert not path.exists(), "what was stored has been run"


def complaints(folder: StudyFolder) -> list[str]:
    """What everything that reads a study says; whatever is no sentence for a person is raised."""
    root, said = folder.storage.uri, []
    study = gs.Study(folder=folder)
    again = Path(root).parent / "shared"
    ways: list[Callable[[], object]] = [
        lambda: stored_spec(folder),
        lambda: stored_layout(folder),
        lambda: gs.studies(root),
        study.trials,
        study.curves,
        study.measures,
        lambda: study.sql("SELECT * FROM trials"),
        lambda: study.activity,
        lambda: [load_lane(folder, row) for row in checkpoints(folder)],
        lambda: [get_snapshot(folder, found.pack_id) for found in snapshots(folder)],
        lambda: share_study(folder, str(again)),
        lambda: gs.run(*SMALL, "measures.names=[norms]", name="s", steps=25, root=root, progress=False),
    ]
    for way in ways:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                way()
            except GrokstudyError as error:
                said.append(str(error))
        said += [str(each.message) for each in warned if issubclass(each.category, UserWarning)]
    return said


def bombs(fuse: Path) -> dict[str, bytes]:
    """One payload in every wrapping that some library takes for an invitation."""
    array, saved, parquet = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(array, np.array([Bomb(fuse)], dtype=object), allow_pickle=True)
    torch.save({"params": Bomb(fuse)}, saved)
    extension = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Bomb(fuse)),
    }
    table = pa.table([pa.array(["a"])], schema=pa.schema([pa.field("trial_id", pa.string(), metadata=extension)]))
    pq.write_table(table, parquet)
    command = f"mkdir '{fuse}'"
    return {
        "pickle": pickle.dumps(Bomb(fuse)),
        "numpy": array.getvalue(),
        "torch": saved.getvalue(),
        "parquet": parquet.getvalue(),
        "yaml": f'!!python/object/apply:os.system ["{command}"]\n'.encode(),
        "yaml in a setting": f'name: s\nbase: !!python/object/apply:os.system ["{command}"]\n'.encode(),
        "json": json.dumps({"py/reduce": [{"py/function": "os.system"}, {"py/tuple": [command]}]}).encode(),
        "safetensors": safetensors.numpy.save({"W": np.zeros((2, 2))}, metadata={"grokstudy": command}),
    }


KINDS = ["pickle", "numpy", "torch", "parquet", "yaml", "yaml in a setting", "json", "safetensors"]
PLACES = ["study.yaml", "attempts", "trials", "curves", "measures", "checkpoints/index", "checkpoints/", "snapshots"]
DEEP = [("pickle", place) for place in PLACES] + [(kind, "study.yaml") for kind in KINDS]


@pytest.mark.parametrize(("kind", "place"), dict.fromkeys([*DEEP, ("parquet", "trials"), ("torch", "checkpoints/")]))
def test_a_planted_bomb_is_damage_and_nothing_else(kind: str, place: str, folder: StudyFolder, fuse: Path) -> None:
    names = [
        name for name in folder.names("") if name.startswith(place) and (place[-1] != "/" or "/index-" not in name)
    ]
    assert names, f"a study has no {place}"
    for name in names:
        folder.put_bytes(name, bombs(fuse)[kind])
    said = complaints(folder)
    assert any(name in text for name in names for text in said) or (place == "attempts" and said), said


def test_files_that_do_not_belong_run_nothing(folder: StudyFolder, fuse: Path) -> None:
    """Those of Ray Tune and Optuna are what others would load; `progress.json` and `ended.json` are ours."""
    for name in ("tuner.pkl", "searcher-state.pkl", "trials/part-x.pkl", "experiment_state-x.json", "progress.json"):
        folder.put_bytes(name, bombs(fuse)["pickle"])
    assert complaints(folder) == []


WAYS_TO_BURST = {
    "aliases": "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40)),
    "merged": "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in range(40)),
    "itself": "name: &a [*a]\n",
    "deep brackets": "name: " + "[" * 100_000,
    "deep and closed": "name: " + "[" * 50_000 + "]" * 50_000,
    "deep braces": "{a: " * 100_000,
    "deep dashes": "- " * 100_000,
    "deep questions": "? " * 100_000,
    "a number": "name: s\nbudget: " + "9" * 100_000,
    "no date": "name: 2026-99-99\n",
    "a list": "- 1\n- 2\n",
    "a word": "s",
    "nothing": "",
    "two documents": "name: s\n---\nname: t\n",
    "no text": "\ud800\x00",
    "tags": "name: !!python/name:os.system\n",
    "long": "name: " + "x" * 20_000_000,
}


@pytest.mark.parametrize("way", WAYS_TO_BURST)
def test_settings_that_burst_are_refused_in_a_sentence(way: str, folder: StudyFolder) -> None:
    folder.put_bytes("study.yaml", WAYS_TO_BURST[way].encode(errors="surrogatepass"))
    for read in (stored_spec, stored_layout, lambda folder: share_study(folder, folder.storage.uri + "-shared")):
        with pytest.raises(GrokstudyError) as refusal:
            read(folder)
        assert "study.yaml" in str(refusal.value)
        assert len(str(refusal.value)) < 2_000


NOTES = [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b"null", b"[]", b'{"pid": "x"}', b"\x00", b"\x80\x04"]


@pytest.mark.parametrize("text", NOTES, ids=lambda text: ascii(text[:12]))
def test_notes_that_burst_name_nobody(text: bytes, folder: StudyFolder) -> None:
    folder.put_bytes("progress.json", text)
    assert gs.Study(folder=folder).activity is None
    folder.put_bytes(LOCK, text)
    owner = owner_in(folder, LOCK)
    assert owner is not None
    assert owner.token not in ascii(text)
