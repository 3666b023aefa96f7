"""Where the time of an update goes, by kind of kernel."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping

from pack import Pack
from torch.profiler import ProfilerActivity, profile

KINDS: Mapping[str, tuple[str, ...]] = {
    "products": (
        *("mm", "bmm", "addmm", "addmm_", "baddbmm", "_linear_pointwise"),
        *("mv", "addmv", "addmv_", "addr", "dot"),
    ),
    "gather, scatter": (
        *("embedding", "_embedding_bag", "_embedding_bag_forward_only", "embedding_dense_backward", "index_select"),
        *("gather", "scatter_add", "scatter_add_", "index", "index_put_", "index_add_", "sort"),
    ),
    "softmax": ("_softmax", "_log_softmax", "_softmax_backward_data", "_log_softmax_backward_data"),
    "copies": (
        *("copy_", "cat", "stack", "clone", "_to_copy", "contiguous"),
        *("fill_", "zero_", "empty", "empty_strided", "empty_like", "resize_"),
    ),
}
"""Names of kernels without their `aten::` or `mkldnn::`."""
VIEWS = (
    *("view", "transpose", "t", "as_strided", "slice", "select", "split", "split_with_sizes", "expand", "expand_as"),
    *("unflatten", "flatten", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "detach", "unbind", "numpy_T"),
)
"""They compute nothing: what they take is time of the interpreter and of torch's dispatch."""
REST = "Python, dispatch"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Shares of an update's time."""

    gradient: Mapping[str, float]
    """Of the gradient, by kind."""
    update: float
    """Kernels of what follows the gradient: filter, regularization, optimizer, noise."""
    rest: float
    """Everything that is no kernel: Python, torch's dispatch, and the profiler itself."""

    def shares(self) -> dict[str, float]:
        """By name, in the order of a table; they add up to 1."""
        return {**self.gradient, "regularization and optimizer": self.update, REST: self.rest}


def profiled(pack: Pack, updates: int) -> Profile:
    """Profiles `updates` whole updates, and as many gradients alone to tell theirs apart."""
    whole, wall = _kernels(pack.step, updates)
    alone, _ = _kernels(pack.gradient, updates)
    by_kind = {kind: sum(alone.get(name, 0.0) for name in names) / wall for kind, names in KINDS.items()}
    known = {name for names in KINDS.values() for name in names}
    by_kind["element-wise, sums"] = sum(seconds for name, seconds in alone.items() if name not in known) / wall
    update = max(0.0, sum(whole.values()) - sum(alone.values())) / wall
    return Profile(gradient=by_kind, update=update, rest=1 - sum(by_kind.values()) - update)


def _kernels(step: Callable[[], object], repeats: int) -> tuple[dict[str, float], float]:
    """Seconds inside each kernel, those of kernels that it calls not included, and seconds of it all."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        wall = time.perf_counter() - start
    seconds: dict[str, float] = {}
    for event in profiler.key_averages():
        library, _, name = event.key.partition("::")
        if library in ("aten", "mkldnn") and name not in VIEWS:
            seconds[name] = seconds.get(name, 0.0) + event.self_cpu_time_total / 1e6
    return seconds, wall
