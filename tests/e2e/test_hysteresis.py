"""A real loop: forks of memorised and of generalised quad23 over weight decay, read at several T."""

from __future__ import annotations

import pytest

import grokstudy as gs
from grokstudy.spec.errors import BadInput

HERE = ("cluster=none", "tracking=none", "engine.compile=false")
OPEN, CLOSED = (0.03, 0.1), 3.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("data"))
    gs.run("preset=quad23_fast", "seed=0,1,2", *HERE, name="parents", root=root, progress=False)
    places = "regularization.weight_decay=0.03,0.1,3"
    gs.run(
        *("preset=quad23_fast", "seed=0,1,2", "init.from=parents@50,parents@end", places, *HERE),
        name="loop",
        root=root,
        progress=False,
    )
    return root


@pytest.mark.slow
def test_weak_decay_remembers_the_start_and_strong_decay_does_not(root: str) -> None:
    found = gs.open("loop", root).fit("hysteresis", x=("weight_decay",))
    table = found.table().set_index("name")
    for place in OPEN:
        row = table.loc[f"gap at weight_decay = {place:g}"]
        assert row["low"] > 0.5
        assert row["from_generalised"] > 0.95 > 0.5 > row["from_memorised"]
    assert table.loc[f"gap at weight_decay = {CLOSED:g}", "estimate"] == pytest.approx(0, abs=0.05)
    assert "Open (interval above 0) at weight_decay = 0.03, 0.1." in found.sentences()


@pytest.mark.slow
def test_the_loop_is_read_at_shorter_t_without_running_anything(root: str) -> None:
    """At T = 60 strong decay has not yet taken the memorised networks over: the loop is wider."""
    study = gs.open("loop", root)
    areas = {t: study.fit("hysteresis", x=("weight_decay",), budget=t).table()["estimate"] for t in (60, 500)}
    at_60, at_500 = ({t: own[3] for t, own in areas.items()}[t] for t in (60, 500))
    assert at_60 > at_500 + 0.2
    assert areas[500].iloc[:4].is_monotonic_decreasing


@pytest.mark.slow
def test_parents_alone_and_one_branch_alone_are_refused_with_what_to_run(root: str) -> None:
    with pytest.raises(BadInput, match="no trial of this study is a fork"):
        gs.open("parents", root).fit("hysteresis", x=("seed",))
    study = gs.open("loop", root)
    with pytest.raises(BadInput, match="no trial starts from a memorised network"):
        study.fit("hysteresis", x=("weight_decay",), tau=0.01)
