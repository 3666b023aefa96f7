"""`store check`, `store compact`, `store gc`: every damage is found, what it cost comes back bit for bit."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pandas as pd
import pytest
from torch import Tensor, equal

from grokstudy.engine.step import Update
from grokstudy.spec.compose import compose_study
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import study_lock
from grokstudy.study import run
from grokstudy.study.board import Board
from grokstudy.study.store_repair import repair_study

from .conftest import SMALL, Cli
from .store_damage import DAMAGES, checked, copied, damage, files, flipped, quarantined, repaired, train, trained
from .stored import assert_equal, tables, weights

KINDS = ("trials", "curves", "measures", "checkpoints", "weights", "snapshot", "settings")
Undisturbed: TypeAlias = tuple[dict[str, pd.DataFrame], dict[tuple[str, int], dict[str, Tensor]]]
"""Rows and weights of a study."""
HARMLESS = {("trials", "deleted"), ("measures", "deleted"), ("snapshot", "deleted")}
"""Nothing shows that such a file was ever there; the next run makes it again."""


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_report", lambda *_, **__: [])  # drawn anew by every run: most of its time here


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that nobody damages."""
    return trained(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def undisturbed(study: Path) -> Undisturbed:
    return tables(study.parent, "s"), weights(study.parent, "s")


@pytest.fixture
def folder(study: Path, tmp_path: Path) -> StudyFolder:
    """A copy of it."""
    return copied(study, tmp_path)


def assert_as_before(folder: StudyFolder, undisturbed: Undisturbed) -> None:
    """Rows and weights are those of the undisturbed study, bit for bit."""
    assert_equal(tables(folder.storage.uri, "s"), undisturbed[0])
    found = weights(folder.storage.uri, "s")
    assert found.keys() == undisturbed[1].keys()
    for key, tensors in found.items():
        assert all(equal(tensor, undisturbed[1][key][name]) for name, tensor in tensors.items())


def test_a_whole_study_is_whole_and_stays_as_it_is(folder: StudyFolder) -> None:
    before = {name: folder.get_bytes(name) for name in folder.names("")}
    found = checked(folder)
    assert found.is_whole
    assert found.findings.unreferenced == found.findings.no_row == found.findings.unfinished == ()
    assert all(file.kind != "unknown" for file in found.findings.files.values())
    assert repaired(folder) == []
    assert {name: folder.get_bytes(name) for name in folder.names("")} == before


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_to_every_file_is_found_and_nothing_else(folder: StudyFolder, kind: str, how: str) -> None:
    names = files(folder, kind)
    for name in {names[0], names[len(names) // 2], names[-1]}:
        data = folder.get_bytes(name) or b""
        left = damage(folder, name, DAMAGES[how])
        found = checked(folder)
        assert {file.name for file in found.findings.damaged} == ({name} if left is not None else set()), name
        if (kind, how) not in HARMLESS and not (left is None and name.startswith("attempts/")):
            assert not found.is_whole, name
        folder.put_bytes(name, data)


@pytest.mark.parametrize("kind", KINDS)
def test_one_flipped_byte_anywhere_is_found(folder: StudyFolder, kind: str) -> None:
    name = files(folder, kind)[-1]
    data = folder.get_bytes(name) or b""
    for at in (0.0, 0.02, 0.3, 0.8, 0.97, 1.0):
        folder.put_bytes(name, flipped(data, at))
        assert [file.name for file in checked(folder).findings.damaged] == [name], at


CASES = [*((kind, "flipped") for kind in KINDS if kind != "settings"), ("checkpoints", "deleted")]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "how"), CASES)
def test_after_a_repair_the_next_run_brings_everything_back(
    folder: StudyFolder, undisturbed: Undisturbed, kind: str, how: str
) -> None:
    name = files(folder, kind)[-1]
    _comes_back(folder, undisturbed, name, how)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(200))
def test_any_single_damage_comes_back(folder: StudyFolder, undisturbed: Undisturbed, seed: int) -> None:
    draw = random.Random(seed)
    name = draw.choice([name for kind in KINDS for name in files(folder, kind)])
    _comes_back(folder, undisturbed, name, draw.choice(list(DAMAGES)))


def _comes_back(folder: StudyFolder, undisturbed: Undisturbed, name: str, how: str) -> None:
    left = damage(folder, name, DAMAGES[how])
    again = {lost.trial_id for lost in checked(folder).repair.again}
    moved = repaired(folder)
    assert len(moved) == (left is not None)
    assert quarantined(folder) == ({} if left is None else {name: left}), "what is whole stays where it is"
    assert repaired(folder) == [], "a second repair finds nothing to do"
    ran = train(folder.storage.uri)
    assert ran.ran >= len(again)
    assert checked(folder).is_whole
    assert_as_before(folder, undisturbed)


def test_a_lost_curve_is_written_again_from_the_last_state_without_an_update(
    folder: StudyFolder, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in files(folder, "curves"):
        damage(folder, name, DAMAGES["deleted"])
    assert {lost.curve_from for lost in checked(folder).repair.again} == {0}
    repaired(folder)
    monkeypatch.setattr(Update, "__call__", _refused)
    assert train(folder.storage.uri).ran == 4
    assert_as_before(folder, undisturbed)


def _refused(*_: object) -> None:
    raise AssertionError("an update was made")


def test_lost_weights_of_an_unfinished_trial_come_back_too(folder: StudyFolder, undisturbed: Undisturbed) -> None:
    """Its state is later than the weights: going on from it would leave them out."""
    for name in files(folder, "trials"):
        damage(folder, name, DAMAGES["deleted"])
    assert checked(folder).is_whole, "trials without rows are not finished"
    assert len(checked(folder).findings.no_row) == 4
    name = next(name for name in files(folder, "weights") if name.endswith("step-00000010.safetensors"))
    damage(folder, name, flipped)
    assert all(lost.steps_run is None for lost in checked(folder).repair.again)
    repaired(folder)
    train(folder.storage.uri)
    assert_as_before(folder, undisturbed)


@pytest.mark.campaign
def test_a_repair_that_is_killed_anywhere_is_finished_by_the_next(
    study: Path, tmp_path: Path, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = 0
    for number in itertools.count():
        folder = copied(study, tmp_path / str(number))
        damage(folder, files(folder, "weights")[3], flipped)
        damage(folder, files(folder, "curves")[-1], DAMAGES["truncated"])
        with monkeypatch.context() as patch:
            left = iter(range(number))
            for method in ("put_bytes", "delete"):
                patch.setattr(StudyFolder, method, _killed_after(getattr(StudyFolder, method), left))
            try:
                repair_study(checked(folder))
            except KeyboardInterrupt:
                pass
            else:
                break
        writes += 1
        repaired(folder)
        train(folder.storage.uri)
        assert checked(folder).is_whole
        assert_as_before(folder, undisturbed)
    assert writes > 8


def _killed_after(method: Callable[..., None], left: Iterator[int]) -> Callable[..., None]:
    def counted(*given: object) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        method(*given)

    return counted


def test_weights_that_no_run_keeps_again_are_named_and_cost_no_trial(tmp_path: Path) -> None:
    root = str(tmp_path)
    for budget in (110, 200):  # 110 is on no schedule: it was the end
        spec = compose_study([*SMALL, f"storage.root={root}", f"budget={budget}"], name="s")
        run.run_study(spec, Board(study="s"))
    folder = StudyFolder.open(root, "s")
    (name,) = [name for name in files(folder, "weights") if name.endswith("step-00000110.safetensors")]
    damage(folder, name, flipped)
    found = checked(folder)
    assert found.repair.again == ()
    assert [lost.checkpoints for lost in found.repair.for_good] == [(110,)]
    repaired(folder)
    assert run.run_study(spec, Board(study="s")).ran == 0
    assert checked(folder).is_whole


def test_a_study_without_study_yaml_gets_it_back_and_one_without_an_attempt_keeps_what_it_has(
    folder: StudyFolder,
) -> None:
    before = folder.get_text("study.yaml")
    folder.delete(["study.yaml"])
    assert not checked(folder).is_whole
    repaired(folder)
    assert folder.get_text("study.yaml") == before
    folder.delete(folder.names("attempts"))
    broken = damage(folder, "study.yaml", flipped)
    assert repaired(folder) == []
    assert folder.get_bytes("study.yaml") == broken
    assert not checked(folder).is_whole


@pytest.mark.slow
def test_another_process_at_work_is_left_alone(folder: StudyFolder, cli: Cli) -> None:
    damage(folder, files(folder, "curves")[0], flipped)
    before = folder.names("")
    with study_lock(folder):
        refused = cli.run("store", "check", "s", "--repair", "--storage", folder.storage.uri, code=2)
        assert "is being written by process" in refused.stderr
        assert folder.names("") == sorted([*before, "lock.json"])


def test_trials_that_an_adaptive_sampler_no_longer_asks_for_keep_what_is_left(folder: StudyFolder) -> None:
    folder.put_text("proposals/end.json", "{}")
    damage(folder, files(folder, "curves")[-1], flipped)
    rows = tables(folder.storage.uri, "s")["trials"]
    found = checked(folder)
    assert found.repair.again == ()
    assert found.repair.unasked
    repaired(folder)
    assert tables(folder.storage.uri, "s")["trials"].equals(rows)


def test_a_study_from_before_files_had_digests_is_whole(folder: StudyFolder) -> None:
    for kind in ("trials", "curves", "measures", "checkpoints"):
        for name in files(folder, kind):
            folder.put_bytes(f"{name.rpartition('-')[0]}.parquet", folder.get_bytes(name) or b"")
            folder.delete([name])
    for name in files(folder, "settings"):
        folder.put_text(name, (folder.get_text(name) or "").partition("\n")[2])
    assert checked(folder).is_whole
    name = files(folder, "trials")[0]
    damage(folder, name, DAMAGES["truncated"])
    assert [file.name for file in checked(folder).findings.damaged] == [name]
