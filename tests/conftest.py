"""What every test shares: one thread, as a pack has, so that timing and bits do not depend on the machine's cores."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
