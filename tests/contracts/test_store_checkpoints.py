"""Weights and pack states: what was put comes back bit for bit, and damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from grokstudy.spec.errors import DamagedFile
from grokstudy.store.checkpoints import checkpoints, load_lane, put_checkpoint, put_ring
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import SnapshotMeta, delete_snapshot, get_snapshot, put_snapshot, snapshots


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StudyFolder:
    root = str(tmp_path / "root") if request.param == "disk" else f"memory://{tmp_path}"
    return StudyFolder.open(root, "study")


def stacked(lanes: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Parameters as an engine has them: views of one flat buffer, one of them transposed."""
    flat = torch.randn(lanes, 14, generator=torch.Generator().manual_seed(seed))
    flat[0, 0] = torch.nan  # a diverged member's weights come back as they were
    return {"W_E": flat[:, :12].reshape(lanes, 3, 4).mT, "bias": flat[:, 12], "half": flat[:, 13].bfloat16()}


def assert_lane(loaded: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor], lane: int) -> None:
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name].nan_to_num(7.0), tensor[lane].nan_to_num(7.0)), name


def test_every_lane_comes_back_bit_for_bit(folder: StudyFolder) -> None:
    tensors = stacked(3)
    rows = put_checkpoint(folder, "pack", 700, tensors, ["a", "b", "c"], ["scheduled", "end", "scheduled"])
    folder.put_index(rows)
    assert {row.file for row in rows} == {"checkpoints/pack/step-00000700.safetensors"}
    found = checkpoints(folder)
    assert found == rows
    for row in found:
        assert_lane(load_lane(folder, row), tensors, row.lane)


def test_a_ring_holds_steps_of_one_trial_as_lanes(folder: StudyFolder) -> None:
    tensors = stacked(2)
    folder.put_index(put_ring(folder, "pack", "a", tensors, [650, 660]))
    folder.put_index(put_checkpoint(folder, "pack", 660, stacked(1, seed=1), ["a"], ["scheduled"]))
    early, late = checkpoints(folder)
    assert (early.step, early.lane, early.kind) == (650, 0, "ring")
    assert (late.step, late.kind) == (660, "scheduled"), "one per trial and step"
    assert_lane(load_lane(folder, early), tensors, 0)


def test_equal_content_is_stored_once_and_other_content_beside_it(folder: StudyFolder) -> None:
    first = put_checkpoint(folder, "pack", 1, stacked(1), ["a"], ["end"])
    assert put_checkpoint(folder, "pack", 1, stacked(1), ["a"], ["end"]) == first
    other = put_checkpoint(folder, "pack", 1, stacked(1, seed=1), ["a"], ["end"])
    assert other[0].file != first[0].file
    assert len(folder.names("checkpoints")) == 2
    assert_lane(load_lane(folder, first[0]), stacked(1), 0)
    assert_lane(load_lane(folder, other[0]), stacked(1, seed=1), 0)


def test_lanes_that_do_not_fit_are_refused(folder: StudyFolder) -> None:
    with pytest.raises(ValueError, match="stacked over 2 lanes"):
        put_checkpoint(folder, "pack", 1, stacked(3), ["a", "b"], ["end", "end"])


def test_a_changed_or_missing_checkpoint_file_is_named_with_what_was_lost(folder: StudyFolder) -> None:
    row, _ = put_checkpoint(folder, "pack", 1, stacked(2), ["a", "b"], ["end", "end"])
    data = folder.get_bytes(row.file)
    assert data is not None
    folder.put_bytes(row.file, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DamagedFile, match=r"step-00000001\.safetensors.*sha256 differs.*step 1 of trial a"):
        load_lane(folder, row)
    folder.delete([row.file])
    missing = put_checkpoint(folder, "elsewhere", 1, stacked(1), ["b"], ["end"])[0]
    folder.delete([missing.file])
    with pytest.raises(DamagedFile, match=r"elsewhere/step-00000001\.safetensors.*is missing"):
        load_lane(folder, missing)


def meta(pack_id: str, step: int) -> SnapshotMeta:
    return SnapshotMeta(
        pack_id=pack_id, step=step, trial_ids=("a", "b"), written_at="2026-01-01T00:00:00Z", numerics="cpu"
    )


def test_a_snapshot_is_the_state_put_last(folder: StudyFolder) -> None:
    assert snapshots(folder) == []
    put_snapshot(folder, "pack", stacked(2), meta("pack", 100))
    put_snapshot(folder, "pack", stacked(2, seed=1), meta("pack", 200))
    put_snapshot(folder, "empty", {}, meta("empty", 0))
    assert snapshots(folder) == [meta("empty", 0), meta("pack", 200)]
    found, tensors = get_snapshot(folder, "pack")
    assert found == meta("pack", 200)
    assert_lane(tensors, stacked(2, seed=1), slice(None))  # type: ignore[arg-type]
    delete_snapshot(folder, "pack")
    delete_snapshot(folder, "pack")
    assert snapshots(folder) == [meta("empty", 0)]
    with pytest.raises(FileNotFoundError):
        get_snapshot(folder, "pack")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_damaged_snapshot_is_left_out_and_named(folder: StudyFolder, keep: int) -> None:
    put_snapshot(folder, "good", stacked(2), meta("good", 1))
    put_snapshot(folder, "pack", stacked(2), meta("pack", 1))
    data = folder.get_bytes("snapshots/pack.safetensors")
    assert data is not None
    folder.put_bytes("snapshots/pack.safetensors", data[:keep])
    with pytest.warns(UserWarning, match=r"pack\.safetensors: this snapshot is damaged .*computing time only"):
        assert snapshots(folder) == [meta("good", 1)]
    with pytest.raises(DamagedFile):
        get_snapshot(folder, "pack")
