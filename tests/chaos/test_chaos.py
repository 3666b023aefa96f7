"""The killer in small: a few kills of each kind that one machine can suffer. The campaign is `make chaos`."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import invariants
from tests.chaos.damage import damage
from tests.chaos.killer import Killer
from tests.chaos.local_world import LocalWorld, local_driver
from tests.chaos.study import Size
from tests.e2e.stored import tables
from tests.services.process import in_environment
from tests.services.s3 import S3, moto_server

SIZE = Size(seeds=1, steps=4000, pack_size=3, fractions=(0.5, 0.7))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Storage root of the study `undisturbed`."""
    folder = tmp_path_factory.mktemp("undisturbed")
    root = folder / "data"
    local_driver(folder, str(root)).run(SIZE.words("undisturbed", "cluster=none", "tracking=none"))
    return root


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3]:
    cache = str(tmp_path / "cache")
    with moto_server(tmp_path / "s3") as server, in_environment({**server.environment(), "XDG_CACHE_HOME": cache}):
        yield server


def test_a_study_in_one_process_keeps_everything_in_s3(undisturbed: Path, s3: S3, tmp_path: Path) -> None:
    """Its process is killed, S3 falls silent, files in the bucket break."""
    root = s3.make_bucket("studies")
    world = LocalWorld(root=root, driver=local_driver(tmp_path, root, s3), s3=s3)
    words = SIZE.words("chaos", "cluster=none", "tracking=none")
    _survives(world, undisturbed, words, ["driver", "s3", "damage", "driver"], seed=5)


@pytest.mark.ray
def test_a_study_on_embedded_ray_keeps_everything_on_a_disk(undisturbed: Path, tmp_path: Path) -> None:
    """A worker, the raylet, its process and all of them at once are killed; MLflow is a database beside the study."""
    root = str(tmp_path / "data")
    world = LocalWorld(root=root, driver=local_driver(tmp_path, root))
    words = SIZE.words("chaos", "cluster=local", "tracking=mlflow")
    _survives(world, undisturbed, words, ["worker", "everything", "raylet", "driver"], seed=3)


def _survives(world: LocalWorld, undisturbed: Path, words: list[str], kinds: list[str], *, seed: int) -> None:
    killer = Killer(world=world, chance=random.Random(seed), kinds=iter(kinds), gap=1.0, least_gap=0.2)
    try:
        verdict = killer.run("chaos", words, tables(undisturbed, "undisturbed"), len(kinds))
    finally:
        world.driver.kill_all()
    assert verdict.broken == (), "\n".join([f"seed {seed}", *verdict.broken])
    # On a machine with many cores the study may end before all have had their turn.
    assert [event.kind for event in killer.events] == kinds[: len(killer.events)]
    assert len(killer.events) >= 2


def test_a_lost_a_doubled_and_a_different_trial_are_seen(undisturbed: Path, tmp_path: Path) -> None:
    """The invariants can fail."""
    root = str(tmp_path)
    shutil.copytree(undisturbed, root, dirs_exist_ok=True)
    assert invariants.broken_tables(tables(undisturbed, "undisturbed"), root, "undisturbed") == []
    assert invariants.broken_files(root, "undisturbed") == []
    wanted = tables(undisturbed, "undisturbed")
    first = wanted["trials"].loc[0, "trial_id"]
    wanted["trials"].loc[0, "trial_id"] = "another"
    assert invariants.broken_tables(wanted, root, "undisturbed")[:2] == [
        "trial another is missing",
        f"trial {first} is none of the study's",
    ]
    wanted = tables(undisturbed, "undisturbed")
    wanted["curves"].loc[7, "train_loss"] *= 1 + 1e-15
    (broken,) = invariants.broken_tables(wanted, root, "undisturbed")
    assert broken.startswith("other values than undisturbed")
    (tmp_path / "undisturbed/lock.json").write_text("{}")
    (tmp_path / "undisturbed/trials/.part.tmp").write_text("")
    assert invariants.broken_files(root, "undisturbed") == [
        "'undisturbed/lock.json' is left",
        "temporary file 'trials/.part.tmp' is left",
    ]


def test_a_run_that_is_missing_doubled_or_still_running_is_seen() -> None:
    trial = {"grokstudy.trial_id": "a", "status": "FINISHED"}
    study = {"grokstudy.role": "study", "status": "FINISHED"}
    assert invariants.broken_runs([trial, study], ["a"]) == []
    assert invariants.broken_runs([trial, trial, study, {"status": "RUNNING"}], ["a", "b"]) == [
        "an MLflow run is RUNNING",
        "trial a has 2 MLflow runs",
        "trial b has no MLflow run",
        "1 MLflow runs are nobody's",
    ]


def test_damage_changes_one_file(tmp_path: Path) -> None:
    for seed in range(12):
        folder = tmp_path / str(seed) / "study"
        (folder / "trials").mkdir(parents=True)
        part, other = folder / "trials/part-1.parquet", folder / "study.yaml"
        part.write_bytes(b"a part" * 100)
        other.write_text("spec")
        said = damage(str(folder.parent), "study", random.Random(seed))
        assert "trials/part-1.parquet" in said
        assert part.read_bytes() != b"a part" * 100
        assert other.read_text() == "spec"
