"""Holding a study: it ends when its block does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from grokstudy.store.folder import StudyFolder
from grokstudy.study.board import Board
from grokstudy.study.holding import held

LONG = 60.0


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_that_lives_on_holds_nobody_up(tmp_path: Path) -> None:
    child = 0
    try:
        with held(StudyFolder.open(str(tmp_path), "s"), Board(study="s")):
            child = os.fork()
            if child == 0:
                time.sleep(LONG)
                os._exit(0)
        assert os.waitpid(child, os.WNOHANG) == (0, 0)  # it still sleeps
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
