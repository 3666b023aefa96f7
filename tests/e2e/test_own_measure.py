"""A user's own measure: a function in a file, in an installed package, or in a notebook."""

from __future__ import annotations

import math
import re
import runpy
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from grokstudy.circuits._function import as_plugin
from grokstudy.spec import plugins
from grokstudy.spec.errors import BadInput
from grokstudy.spec.measure import Measure, Subject
from grokstudy.study.api import Study
from grokstudy.study.api import open as open_study
from grokstudy.study.export import export_trial
from tests.contracts.test_every_measure import untrained
from tests.e2e.conftest import SMALL, Cli
from tests.e2e.stored import weights

torch.set_num_threads(1)

PAGE = (Path(__file__).parents[2] / "docs/plugins.md").read_text()
SECTION = PAGE.partition("## Your own measure")[2]
EXAMPLE, IN_PYTHON = re.findall(r"```python\n(.*?)```", SECTION, flags=re.DOTALL)
STUDY = [*SMALL, "--steps", "30", "--name", "s"]
COUNT = "def {name}(subject):\n    return float(sum(tensor.numel() for tensor in subject.params.values()))\n"


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Plug-in files added in this process are gone afterwards."""
    before = dict(plugins._files)
    yield
    plugins._files.clear()
    plugins._files.update(before)
    plugins.load.cache_clear()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = Cli(tmp_path_factory.mktemp("own"))
    cli.run("run", *STUDY)
    return cli


def rows(cli: Cli, measure: str) -> list[dict[Hashable, Any]]:
    sql = f"SELECT step, value, \"values\", reason, protocol, version FROM measures_long WHERE measure = '{measure}'"
    return open_study("s", str(cli.root)).sql(f"{sql} ORDER BY step, version").to_dict("records")


def measured(function: object, subject: Subject) -> tuple[float | None, tuple[float, ...] | None, str | None]:
    (value,) = as_plugin(function, "mine")().measure(subject)  # type: ignore[arg-type]
    assert (value.measure, value.protocol, value.version) == ("mine", "keys=neuron", 1)
    return value.value, value.values, value.reason


@pytest.mark.slow
def test_the_example_of_the_page_works_from_any_folder(trained: Cli) -> None:
    path = trained.work / "spread.py"
    path.write_text(EXAMPLE)
    trained.run("measure", "s", "--plugin", str(path), "--only", "spread", "--checkpoints", "all")
    values = [row["value"] for row in rows(trained, "spread")]
    assert len(values) > 5
    assert all(isinstance(value, float) and value > 0 for value in values)
    again = trained.run("measure", "s", "--plugin", str(path), "--only", "spread", "--checkpoints", "all")
    assert "nothing to do" in again.stdout
    assert "Largest" in trained.run("list", "measures", "--plugin", str(path)).stdout


@pytest.mark.slow
@pytest.mark.ray
def test_ray_workers_get_the_file(cli: Cli) -> None:
    cli.run("run", *SMALL[:-1], "cluster=local", "--steps", "30", "--name", "s")
    path = cli.work / "size.py"
    path.write_text(COUNT.format(name="size"))
    cli.run("measure", "s", "--plugin", str(path), "--only", "size")
    assert [row["value"] for row in rows(cli, "size")] == [1056.0, 1056.0]


@pytest.mark.slow
def test_a_raised_version_is_measured_anew(trained: Cli) -> None:
    path = trained.work / "circuits/counted.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(COUNT.format(name="anything"))
    trained.run("measure", "s", "--plugin", str(path), "--only", "counted")
    assert {(row["version"], row["value"]) for row in rows(trained, "counted")} == {(1, 3 * 11 * 32.0)}
    path.write_text("VERSION = 2\ndef anything(subject):\n    return [1.0, 2.0]\n")
    trained.run("measure", "s", "--plugin", str(path), "--only", "counted")
    assert {(row["version"], row["value"], tuple(row["values"])) for row in rows(trained, "counted")} == {
        (2, 1.5, (1.0, 2.0))
    }


@pytest.mark.slow
def test_what_it_raises_is_a_reason_and_costs_no_other_value(trained: Cli) -> None:
    path = trained.work / "circuits/fragile.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("def fragile(subject):\n    return subject.nothing\n")
    trained.run("measure", "s", "--plugin", str(path), "--only", "fragile", "--only", "norms")
    (reason,) = {row["reason"] for row in rows(trained, "fragile")}
    assert str(reason).startswith("raised AttributeError:")
    assert all(row["value"] for row in rows(trained, "sum_sq_weights"))


@pytest.mark.slow
def test_a_weights_file_is_measured_by_it_too(trained: Cli, tmp_path: Path) -> None:
    export_trial("", str(trained.root), None, tmp_path)  # the only trial
    path = tmp_path / "size.py"
    path.write_text(COUNT.format(name="size"))
    words = ["--weights", str(tmp_path / "model.safetensors"), "--plugin", str(path), "--only", "size"]
    assert "1056" in trained.run("measure", *words).stdout


@pytest.mark.slow
def test_an_installed_package_brings_one(trained: Cli) -> None:
    site = trained.work.parent / "site"
    metadata = site / "my_measures-0.1.dist-info"
    metadata.mkdir(parents=True)
    (site / "my_measures.py").write_text(COUNT.format(name="size_of") + COUNT.format(name="other"))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-measures\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[grokstudy.circuits]\ninstalled_size = my_measures:size_of\n")
    trained.env = {**trained.env, "PYTHONPATH": str(site)}
    trained.run("measure", "s", "--only", "installed_size")
    assert {row["value"] for row in rows(trained, "installed_size")} == {1056.0}


@pytest.fixture
def study(trained: Cli) -> Study:
    return open_study("s", str(trained.root))


@pytest.mark.slow
def test_a_function_from_python_gives_a_frame_and_stores_nothing(study: Study) -> None:
    def weight_sum(subject: Subject) -> float:
        return float(sum(tensor.sum() for tensor in subject.params.values()))

    stored = "SELECT * FROM measures_long ORDER BY ALL"
    before = study.sql(stored)
    frame = study.measure(weight_sum)
    pd.testing.assert_frame_equal(study.sql(stored), before)
    kept = weights(study.folder.storage.uri, "s")
    expected = [
        (step, float(sum(x.double().sum() for x in kept[trial, step].values()))) for trial, step in sorted(kept)
    ]
    assert list(zip(frame["step"], frame["value"], strict=True)) == expected
    assert set(frame["measure"]) == {"weight_sum"}
    assert "weight_sum()" not in plugins.names("circuits")
    assert study.measure(weight_sum, checkpoints="final")["step"].tolist() == [0, 30]


@pytest.mark.slow
def test_a_name_from_python_is_stored_and_read(study: Study) -> None:
    threads = torch.get_num_threads()
    frame = study.measure("cross_entropy", checkpoints="final")
    assert {"ce_train", "ce_test", "acc_test"} <= set(frame["measure"])
    assert set(frame["step"]) >= {0, 30}
    assert frame["value"].notna().all()
    assert torch.get_num_threads() == threads
    pd.testing.assert_frame_equal(study.measure("cross_entropy", checkpoints="final"), frame)
    with pytest.raises(BadInput, match="did you mean 'cross_entropy'"):
        study.measure("cross_entrpy")
    with pytest.raises(BadInput, match="checkpoints: no 'some'"):
        study.measure("cross_entropy", checkpoints="some")  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_example_for_python_runs(trained: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROKSTUDY_STORAGE", str(trained.root))
    script = tmp_path / "notebook.py"
    script.write_text(IN_PYTHON.replace('"demo"', '"s"') + "\nassert len(frame) > 5 and frame.value.notna().all()\n")
    runpy.run_path(str(script))


def test_numbers_and_lists_of_any_kind_are_taken() -> None:
    subject = untrained("quad_mlp")
    assert measured(lambda s: 3, subject) == (3.0, None, None)
    assert measured(lambda s: np.float32(0.5), subject) == (0.5, None, None)
    assert measured(lambda s: torch.tensor(2.0), subject) == (2.0, None, None)
    assert measured(lambda s: [1, 2, 6], subject) == (3.0, (1.0, 2.0, 6.0), None)
    assert measured(lambda s: torch.tensor([1.0, 3.0]), subject) == (2.0, (1.0, 3.0), None)


def test_what_is_no_number_is_null_with_a_reason() -> None:
    subject = untrained("quad_mlp")
    assert measured(lambda s: math.nan, subject) == (None, None, "not_finite")
    assert measured(lambda s: [1.0, math.inf], subject) == (None, None, "not_finite")
    for result, word in {None: "NoneType", "a": "str", (): "mean"}.items():
        number, values, reason = measured(lambda s, result=result: result, subject)
        assert (number, values) == (None, None)
        assert str(reason).startswith("raised ")
        assert word in str(reason)


def test_a_function_measure_offers_the_interface_of_a_measure() -> None:
    kind = as_plugin(lambda s: 1.0, "mine", version=3)
    assert issubclass(kind, Measure)
    assert kind.names == ("mine",)
    assert (kind().version, kind().default, kind().needs_end) == (3, True, True)
    assert kind().applies(untrained("transformer").spec) is None
    assert kind(rule="w_l").measure(untrained("transformer"))[0].protocol == "keys=w_l"  # type: ignore[call-arg]
    assert kind() == kind()


def test_one_that_reads_nothing_of_the_end_depends_on_no_rule() -> None:
    measure = as_plugin(lambda s: 1.0, "mine", needs_end=False)()
    assert not measure.needs_end
    assert not hasattr(measure, "rule")
    assert measure.measure(untrained("quad_mlp"))[0].protocol == "function"


@pytest.mark.parametrize("name", ["norms", "sum_sq_weights"])
def test_the_name_of_a_shipped_measure_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=rf"{name}.*'norms'.*rename"):
        as_plugin(lambda s: 1.0, name)


FILES = {
    "two functions": ("def one(s): return 1.0\ndef two(s): return 2.0\n", "found one, two"),
    "no function": ("x = 1\n", "found none"),
    "a wrong version": ("VERSION = 'new'\ndef one(s): return 1.0\n", "VERSION is 'new'"),
    "an error": ("def one(s): return 1.0\nraise OSError('no')\n", "OSError: no"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_holds_no_measure_says_so(case: str, tmp_path: Path, forgotten: None) -> None:
    text, word = FILES[case]
    path = tmp_path / "circuits/mine.py"
    path.parent.mkdir()
    path.write_text(text)
    plugins.add_file(path)
    with pytest.raises(BadInput) as refused:
        plugins.load("circuits", "mine")
    assert word in str(refused.value)


def test_a_file_that_is_no_python_is_not_told_to_move(tmp_path: Path, forgotten: None) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def (:\n")
    with pytest.raises(BadInput, match="cannot be loaded: SyntaxError"):
        plugins.add_file(path)


def test_a_file_named_like_a_shipped_measure_is_refused(tmp_path: Path, forgotten: None) -> None:
    path = tmp_path / "fve.py"
    path.write_text("def one(s): return 1.0\n")
    plugins.add_file(path)
    with pytest.raises(BadInput, match="the shipped measure 'fve' has this name"):
        plugins.load("circuits", "fve")


@pytest.mark.parametrize("text", ["x = 1\n", "class Mine: pass\ndef one(s): return 1.0\n"])
def test_outside_the_rooms_only_functions_are_recognised(text: str, tmp_path: Path, forgotten: None) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(BadInput, match="must lie in a folder named after its kind"):
        plugins.add_file(path)


def test_its_own_private_functions_and_imports_do_not_count(tmp_path: Path, forgotten: None) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from math import sqrt\nfrom statistics import fmean\ndef _of(s): return 4\ndef f(s): return sqrt(_of(s))\n"
    )
    plugins.add_file(path)
    kind = plugins.load("circuits", "mine")
    assert issubclass(kind, Measure)
    assert kind().measure(untrained("quad_mlp"))[0].value == 2.0
