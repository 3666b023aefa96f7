"""What the explorer answers: data of studies, cells and trials, and a sentence for every mistake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import grokstudy as gs
from grokstudy.explorer.view import Cell, cell, command, phase_query, python_call
from grokstudy.phase.query import PhaseQuery
from grokstudy.spec.errors import BadInput
from grokstudy.tracking.ui import free_port
from tests.explorer import Explorer, explorer

AXES = ("regularization.weight_decay=0,3", "task.frac_train=0.5,0.8", "seed=seeds(2)")
WORDS = ("preset=quad23", "task.p=11", "model.width=32", "tracking=none", "cluster=none")
X, Y = "regularization.weight_decay", "task.frac_train"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("explorer") / "data")
    gs.run(*WORDS, *AXES, name="s", steps=600, root=root, progress=False)
    gs.run(*WORDS, "optimizer.lr=1e9,0.01", "task.frac_train=0.8", name="one_axis", steps=20, root=root, progress=False)
    gs.train(
        "preset=quad23", "task.p=7", "model.width=8", "tracking=none", name="single", steps=5, root=root, progress=False
    )
    return root


@pytest.fixture(scope="module")
def running(root: str) -> Iterator[Explorer]:
    with explorer(root) as server:
        yield server


@pytest.fixture(scope="module")
def trial_id(root: str) -> str:
    ids: list[str] = (
        gs.open("s", root).sql("SELECT trial_id FROM trials ORDER BY t_gen NULLS LAST")["trial_id"].tolist()
    )
    return ids[0]


def test_every_study_of_the_root_is_listed(running: Explorer, root: str) -> None:
    answer = running.get("/api/studies").json
    assert answer == {"root": root, "studies": ["one_axis", "s", "single"]}


def test_a_study_says_what_varies_and_how_far_it_is(running: Explorer) -> None:
    study = running.get("/api/s/s").json
    assert study["counts"]["trials"] == study["counts"]["planned"] == 8
    assert sum(study["counts"]["by_outcome"].values()) == 8
    assert {setting["path"]: [level["value"] for level in setting["levels"]] for setting in study["settings"]} == {
        X: ["0", "3"],
        Y: ["0.5", "0.8"],
        "seed": ["0", "1"],
    }
    assert [colours["group"] for colours in study["colours"]] == ["outcomes", "trials", "curves"]  # nothing is measured
    assert "log10_delay_ratio" in study["colours"][0]["names"]
    assert study["activity"] is None


def test_the_diagram_shows_the_levels_of_its_axes_and_how_to_make_it_elsewhere(running: Explorer, root: str) -> None:
    answer = running.get(
        "/api/s/s/diagram", ("x", "weight_decay"), ("y", "frac_train"), ("value", "p_gen"), ("tau", "0.9")
    ).json
    assert [level["value"] for level in answer["x"]] == ["0", "3"]
    assert [level["value"] for level in answer["y"]] == ["0.5", "0.8"]
    assert answer["command"] == "grokstudy phases s --x weight_decay --y frac_train --tau 0.9 --out phase.pdf"
    assert answer["python"].splitlines()[-1] == (
        "diagram = gs.open('s').phase_diagram(x='weight_decay', y='frac_train', tau=0.9)"
    )
    diagram = gs.open("s", root).phase_diagram(x="weight_decay", y="frac_train", tau=0.9)
    downloaded = running.get("/api/s/s/download/phase.json", ("x", "weight_decay"), ("y", "frac_train"), ("tau", "0.9"))
    shares = [each["p_gen"] for each in downloaded.json["cells"]]
    np.testing.assert_array_equal(shares, diagram["p_gen"].transpose("frac_train", "weight_decay").to_numpy().ravel())


@pytest.mark.parametrize(
    ("kind", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG"), ("csv", b"frac_train,")]
)
def test_a_diagram_is_taken_home_as_a_file(running: Explorer, kind: str, start: bytes) -> None:
    answer = running.get(f"/api/s/s/download/phase.{kind}")
    assert answer.status == 200
    assert answer.body.startswith(start)
    assert answer.headers["content-disposition"] == f'attachment; filename="s-phase.{kind}"'


def test_a_cell_shows_every_seed(running: Explorer) -> None:
    answer = running.get("/api/s/s/cells/curves", ("cell", "3|0.8"), ("cell", "0|0.5")).json
    assert [each["n"] for each in answer["cells"]] == [2, 2]
    assert [each["cell"] for each in answer["cells"]] == [
        "weight_decay = 3, frac_train = 0.8",
        "weight_decay = 0, frac_train = 0.5",
    ]
    lines = running.get("/api/s/s/cells/trials", ("cell", "3|0.8")).json["table"]["lines"]
    assert len(lines) == 2
    assert len({line["trial_id"] for line in lines}) == 2
    assert running.get("/api/s/s/cells/trials").json["table"]["paths"] == [X, Y, "seed"]
    rows = running.get("/api/s/s/cells/differences", ("cell", "3|0.8"), ("cell", "0|0.8")).json["differences"]["rows"]
    assert {row["path"]: (row["a"], row["b"]) for row in rows} == {X: ("3", "0"), "lr_wd": ("0.015", "0")} or X in {
        row["path"] for row in rows
    }
    assert running.get("/api/s/s/cells/survival", ("cell", "3|0.8")).json["figure"]["data"]


def test_a_trial_has_its_figures_at_every_checkpoint(running: Explorer, trial_id: str) -> None:
    page = running.get(f"/api/s/s/trial/{trial_id[:8]}").json
    assert page["trial_id"] == trial_id
    assert page["steps"][0] == 0
    assert page["steps"][-1] == 600
    drawn = 0
    for figure in page["figures"]:
        answer = running.get(f"/api/s/s/trial/{trial_id}/figure/{figure['name']}", ("step", "600"))
        assert answer.status in (200, 422), answer.body[:300]
        drawn += answer.status == 200
    assert (
        drawn >= 7
    )  # curves, Fourier norms twice, spectra twice, neurons twice, circles, singular values; no attention
    assert "attention" in running.get(f"/api/s/s/trial/{trial_id}/figure/attention").error
    assert running.get(f"/api/t/{trial_id[:6]}").json == {"study": "s", "trial_id": trial_id}


def test_a_trial_is_verified_where_it_is_looked_at(running: Explorer, trial_id: str) -> None:
    steps = running.get(f"/api/s/s/trial/{trial_id}/verification", ("step", "600")).json["steps"]
    assert [step["step"] for step in steps] == [600]
    assert 0 <= steps[0]["found"]["agreement_all"] <= 1


def test_one_axis_and_no_axis_have_a_page_too(running: Explorer) -> None:
    answer = running.get("/api/s/one_axis/diagram").json
    assert len(answer["x"]) == 2
    assert answer["y"] == []
    assert running.get("/api/s/one_axis").json["counts"]["by_status"]["diverged"] == 1
    assert running.get("/api/s/single").json["default"] is None
    assert "no axis" in running.get("/api/s/single/diagram").error


@pytest.mark.parametrize(
    ("path", "parameters", "words"),
    [
        ("/api/s/nope", (), ("study", "'nope'", "one_axis")),
        ("/api/s/one_axes", (), ("did you mean", "'one_axis'")),
        ("/api/s/s/diagram", (("x", "weight_decai"),), ("x", "weight_decai", "did you mean 'weight_decay'")),
        ("/api/s/s/diagram", (("value", "p_gn"),), ("value", "p_gn", "p_gen")),
        ("/api/s/s/diagram", (("why", "1"),), ("address", "'why'", "y")),
        ("/api/s/s/diagram", (("tau", "much"),), ("tau", "'much'", "number")),
        ("/api/s/s/diagram", (("tau", "2"),), ("tau", "accuracy")),
        ("/api/s/s/diagram", (("T", "1e9"),), ("T", "whole number")),
        ("/api/s/s/diagram", (("T", "999999999"),), ("budget", "600")),
        ("/api/s/s/diagram", (("x", X), ("x", Y)), ("'x'", "twice")),
        (
            "/api/s/s/diagram",
            (("fix.task.frac_train", "0.77"), ("x", X), ("y", "")),
            ("frac_train", "0.77", "0.5, 0.8"),
        ),
        ("/api/s/s/diagram", (("x", X), ("y", X)), ("must differ",)),
        ("/api/s/s/diagram", (("rule", "test_loss is low"),), ("rule", "test_loss is low")),
        ("/api/s/s/cells/curves", (("cell", "7|0.5"),), ("weight_decay", "7")),
        ("/api/s/s/cells/curves", (("cell", "||"),), ("cell", "x")),
        ("/api/s/s/cells/differences", (("cell", "3|0.5"),), ("second cell",)),
        ("/api/s/s/trial/ffffffffffff", (), ("no trial", "ffff")),
        ("/api/s/s/sql", (("q", "SELEC 1"),), ("query", "SELEC")),
        ("/api/s/s/sql", (("q", "DROP TABLE trials"),), ("DROP", "SELECT")),
        ("/api/s/s/sql", (), ("no query",)),
        ("/api/t/zzzz", (), ("zzzz",)),
        ("/api/s/s/mlflow", (), ("tracking=none",)),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(
    running: Explorer, path: str, parameters: tuple[tuple[str, str], ...], words: tuple[str, ...]
) -> None:
    answer = running.get(path, *parameters)
    assert answer.status == 422, answer.body[:500]
    for word in words:
        assert word in answer.error


def test_unknown_addresses_and_files_are_not_found(running: Explorer) -> None:
    assert running.get("/api/nothing").status == 404
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/s/..%2f..%2fetc/passwd", "/etc/passwd"):
        assert b"create_app" not in running.get(path).body
        assert b"root:x" not in running.get(path).body


def test_the_page_comes_whole_from_this_server(running: Explorer) -> None:
    for path in ("/", "/s/s?x=weight_decay", "/t/abc"):
        answer = running.get(path)
        assert answer.status == 200
        assert b"http://" not in answer.body
        assert b"https://" not in answer.body
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert b"plotly.js v" in running.get("/plotly.min.js").body[:200]


def test_a_name_of_elsewhere_is_refused(running: Explorer) -> None:
    assert running.get("/api/studies", headers={"Host": "evil.example"}).status == 400


def test_behind_a_proxy_every_link_has_its_path(root: str) -> None:
    with explorer(root, root_path="/grok", sql=False) as server:
        for prefix in ("", "/grok"):  # a proxy may cut its path off or leave it
            assert b'src="/grok/static/main.js"' in server.get(f"{prefix}/s/s").body
            assert server.get(f"{prefix}/api/s/s").json["name"] == "s"
            assert server.get(f"{prefix}/static/main.js").status == 200
        assert "switched off" in server.get("/api/s/s/sql", ("q", "SELECT 1")).error


def test_an_address_and_its_query_say_the_same() -> None:
    default = PhaseQuery(x=X, y=Y, fix=(("optimizer.lr", "0.01"),))
    assert phase_query([], default) == default
    assert phase_query([("y", "")], default) == PhaseQuery(x=X, y=None, fix=(("optimizer.lr", "0.01"),))
    drawn = phase_query([("x", "optimizer.lr"), ("T", "500"), ("cell", "1|2")], default)
    assert drawn == PhaseQuery(x="optimizer.lr", y=Y, budget=500)
    held = phase_query([("fix.optimizer.lr", "0.1"), ("value", "t_gen")], default)
    assert held == PhaseQuery(x=X, y=Y, value="t_gen", fix=(("optimizer.lr", "0.1"),))
    assert command("it", held).split()[2:] == [
        "it", "--x", X, "--y", Y, "--value", "t_gen", "--fix", "optimizer.lr=0.1", "--out", "phase.pdf"
    ]  # fmt: skip
    assert "fix={'optimizer.lr': '0.1'}" in python_call("it", held)
    assert cell("0.3|0.55") == Cell(x="0.3", y="0.55")
    with pytest.raises(BadInput, match="no axis"):
        phase_query([], None)


def test_a_taken_port_leads_to_the_next_free_one() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < free_port(port, "127.0.0.1") < port + 50
    with pytest.raises(BadInput, match="no address of this machine"):
        free_port(8501, "203.0.113.1")


def test_a_study_without_trials_says_so(root: str, tmp_path: Path) -> None:
    study = tmp_path / "data" / "empty"
    study.mkdir(parents=True)
    (study / "study.yaml").write_bytes((Path(root) / "s" / "study.yaml").read_bytes())
    with explorer(str(tmp_path / "data")) as server:
        answer = server.get("/api/s/empty").json
        assert answer["counts"] == {"trials": 0, "planned": 8, "by_status": {}, "by_outcome": {}}
        assert answer["default"] is None
        assert (
            "no axis" in server.get("/api/s/empty/diagram").error
            or "no trials" in server.get("/api/s/empty/diagram").error
        )
    with explorer(str(tmp_path / "nothing")) as server:
        assert server.get("/api/studies").json["studies"] == []
