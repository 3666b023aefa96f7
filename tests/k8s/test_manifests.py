"""Everything that people apply passes every check, and every check notices what it is there for."""

from __future__ import annotations

import pytest

from tests.k8s import custom, operator_rules, readme, restricted
from tests.k8s.defects import DEFECTS
from tests.k8s.defects.ours import DEV
from tests.k8s.documents import Document, title
from tests.k8s.layers import LAYERS
from tests.k8s.mutations import Defect, broken
from tests.k8s.rendered import K8S, OVERLAYS, STANDS, scene, scenes

NEED_DEFINITIONS = frozenset({"custom", "coverage"})
LEAST_DEFECTS = 100


@pytest.fixture(autouse=True)
def definitions(request: pytest.FixtureRequest) -> None:
    """Checks of custom resources need their definitions, which are third parties' and lie beside the repository."""
    layer = request.node.callspec.params.get("layer") if hasattr(request.node, "callspec") else None
    defect = request.node.callspec.params.get("defect") if hasattr(request.node, "callspec") else None
    if (layer or getattr(defect, "layer", "")) in NEED_DEFINITIONS and not custom.CRDS.is_dir():
        pytest.skip(f"CUSTOM RESOURCES ARE NOT CHECKED: their definitions are not at {custom.CRDS}")


def is_dev(name: str) -> bool:
    """Whether a scene is for development, where Secrets that are obviously fake are part of it."""
    return name == DEV or name.startswith("component ")


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", scenes())
def test_a_manifest_has_nothing_against_it(name: str, layer: str) -> None:
    found = LAYERS[layer](list(scene(name)), is_dev(name))
    assert "\n".join(map(str, found)) == ""


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name.replace(" ", "-"))
def test_a_defect_is_noticed_by_the_check_that_is_there_for_it(defect: Defect) -> None:
    documents, check = scene(defect.scene), LAYERS[defect.layer]
    new = set(check(broken(documents, defect), is_dev(defect.scene))) - set(
        check(list(documents), is_dev(defect.scene))
    )
    assert new


def test_every_check_has_its_defects() -> None:
    assert {defect.layer for defect in DEFECTS} == set(LAYERS)
    assert len(DEFECTS) >= LEAST_DEFECTS
    assert len({defect.name for defect in DEFECTS}) == len(DEFECTS)


@pytest.mark.parametrize(
    ("layer", "rules"),
    [
        ("operator", {rule.__name__ for rule in (*operator_rules.ON_CLUSTERS, *operator_rules.ON_JOBS)}),
        ("restricted", restricted.CONTROLS),
    ],
)
def test_every_rule_that_is_somebody_elses_is_broken_by_a_defect(layer: str, rules: set[str]) -> None:
    planted = [broken(scene(defect.scene), defect) for defect in DEFECTS if defect.layer == layer]
    assert {finding.rule for documents in planted for finding in LAYERS[layer](documents, False)} == rules


def test_every_overlay_and_component_is_looked_at() -> None:
    assert {path.name for path in (K8S / "overlays").iterdir() if path.is_dir()} == set(OVERLAYS)
    assert {path.name for path in (K8S / "components").iterdir() if path.is_dir()} == set(STANDS)


@pytest.mark.parametrize("name", scenes())
def test_no_object_is_there_twice(name: str) -> None:
    titles = [(title(one), one["metadata"].get("namespace")) for one in scene(name)]
    assert len(set(titles)) == len(titles)


def test_every_secret_that_is_documented_is_used() -> None:
    text = "".join(str(documents(name)) for name in scenes())
    assert [name for name in readme.secrets() if f"'{name}'" not in text] == []


def documents(name: str) -> list[Document]:
    return list(scene(name))
