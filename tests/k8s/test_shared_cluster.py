"""The shared cluster and its GPU group are what the functions behind `grokstudy k8s render` write, no copy of it."""

from __future__ import annotations

import runpy

import yaml

from tests.k8s.dockerfile import ROOT

MADE = runpy.run_path(str(ROOT / "k8s/make_ray_components.py"))


def test_the_files_are_what_the_renderer_writes() -> None:
    for path, text in MADE["files"]().items():
        assert path.read_text() == text, f"{path.relative_to(ROOT)}: run `python k8s/make_ray_components.py`"


def test_nothing_of_the_shared_cluster_belongs_to_one_study() -> None:
    """Neither a label of a study nor a ConfigMap of its files, which would not exist."""
    for text in MADE["files"]().values():
        assert "grokstudy/study" not in text
        assert "configMap:\n            name: shared" not in text
        assert "mountPath: /study" not in text


def test_a_gpu_never_comes_with_another_image_than_the_heads() -> None:
    """Head and workers must hold the same programs, so the patch gives every pod the image with CUDA."""
    cluster, patch = MADE["cluster"](), MADE["gpu_patch"]()
    added = [one["value"] for one in patch if one["path"] == "/spec/workerGroupSpecs/-"]
    replaced = {one["path"]: one["value"] for one in patch if one["op"] == "replace"}
    (image,) = {group["template"]["spec"]["containers"][0]["image"] for group in added}
    assert set(replaced.values()) == {image}
    assert len(replaced) == 1 + len(cluster["spec"]["workerGroupSpecs"])
    assert [group["minReplicas"] for group in added] == [0]


def test_the_workers_of_the_shared_cluster_come_and_go() -> None:
    cluster = yaml.safe_load((ROOT / "k8s/components/shared-raycluster/raycluster.yaml").read_text())
    assert cluster["spec"]["enableInTreeAutoscaling"] is True
    assert cluster["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert [group["minReplicas"] for group in cluster["spec"]["workerGroupSpecs"]] == [0]
