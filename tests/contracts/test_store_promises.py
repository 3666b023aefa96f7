"""What rows promise is what the engine does: the same steps, from the stored curve alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grokstudy.spec.schedule import evaluations, is_checkpoint
from grokstudy.spec.settings import CheckpointSettings
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import digest_in, digest_of, part_name, stamp_of
from grokstudy.store.promised import common, first_missing_evaluation, scheduled_steps, transition_steps
from grokstudy.store.quarantine import lanes_of
from grokstudy.store.seal import is_changed, sealed
from grokstudy.store.snapshots import SnapshotMeta, get_snapshot, put_snapshot
from grokstudy.store.tensors_file import header_of

TEXT = "name: s\nbudget: 300\n"


@pytest.mark.parametrize("reach", [0, 1, 9, 10, 14, 15, 99, 150, 777, 3000])
@pytest.mark.parametrize("extra", [(), (4, 33, 700)])
def test_scheduled_steps_are_those_of_the_schedule(reach: int, extra: tuple[int, ...]) -> None:
    wanted = {step for step in range(reach + 1) if is_checkpoint(step, extra)}
    assert scheduled_steps(CheckpointSettings(steps=extra), reach) == wanted
    assert scheduled_steps(CheckpointSettings(steps=extra, schedule=False), reach) == set()


def test_the_first_hole_of_a_curve_is_named() -> None:
    steps = evaluations(300)
    assert first_missing_evaluation(300, steps) is None
    assert first_missing_evaluation(300, [*steps, 310]) is None
    assert first_missing_evaluation(300, steps[:7] + steps[8:]) == steps[7]
    assert first_missing_evaluation(300, []) == 0


def test_the_window_of_a_transition_ends_where_it_is_confirmed_and_needs_both_times() -> None:
    steps = np.array(evaluations(200))
    window = transition_steps(steps, (steps >= 20).astype(float), (steps >= 100).astype(float))
    assert 20 < window[0] <= 30
    assert 100 <= window[-1] < 125
    never = np.full(len(steps), np.nan)
    assert transition_steps(steps, (steps >= 20).astype(float), never) == ()
    assert transition_steps(steps, never, (steps >= 100).astype(float)) == ()


def test_only_what_every_attempt_kept_is_promised() -> None:
    one, other = CheckpointSettings(steps=(4, 33)), CheckpointSettings(steps=(33,), ring=False)
    assert common([one, other]) == CheckpointSettings(steps=(33,), ring=False)
    assert common([one, CheckpointSettings(schedule=False)]).schedule is False
    assert common([]) == CheckpointSettings()


def test_a_sealed_text_shows_any_change_and_an_older_one_says_nothing() -> None:
    text = sealed(TEXT)
    assert text.endswith(TEXT)
    assert is_changed(text) is False
    assert is_changed(TEXT) is None
    for place in range(len(text)):
        assert is_changed(text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]), place
        assert place == 0 or is_changed(text[:place]), place


def test_a_part_names_its_bytes_and_keeps_its_place_in_time() -> None:
    name = part_name("curves", b"bytes", stamp="0123")
    assert digest_in(name) == digest_of(b"bytes")
    assert stamp_of(name) == "0123"
    assert digest_in(part_name("curves")) is None, "written before names had a digest"


def test_a_snapshot_shows_any_changed_byte_and_lanes_leave_their_packmates_as_they_are() -> None:
    folder = StudyFolder.open("memory://sealed-snapshots", "s")
    tensors = {
        "params": torch.arange(6.0).reshape(3, 2),
        "optimizer.m": torch.arange(6.0, 12.0).reshape(3, 2),
        "curve_steps": torch.tensor([0, 1]),
        "curves": torch.arange(6.0).reshape(2, 3, 1),
        "ring.0.params": torch.zeros(1, 2),
        "ring.2.params": torch.ones(4, 2),
    }
    meta = SnapshotMeta(pack_id="p", step=1, trial_ids=("a", "b", "c"), written_at="", numerics="")
    put_snapshot(folder, "p", tensors, meta)
    data = folder.get_bytes("snapshots/p.safetensors")
    assert data is not None
    for place in range(0, len(data), 7):
        folder.put_bytes("snapshots/p.safetensors", data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(Exception, match="this snapshot is damaged"):
            get_snapshot(folder, "p")
    left = lanes_of(tensors, [0, 2])
    assert left.keys() == {*tensors} - {"ring.2.params"} | {"ring.1.params"}
    assert torch.equal(left["params"], tensors["params"][[0, 2]])
    assert torch.equal(left["curves"], tensors["curves"][:, [0, 2]])
    assert torch.equal(left["curve_steps"], tensors["curve_steps"])
    assert torch.equal(left["ring.1.params"], tensors["ring.2.params"])


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b'{"a": 1}', b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}']
)
def test_a_header_that_says_something_else_than_the_file_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|must be|as large"):
        header_of(text, 8 + len(text) + 4)
