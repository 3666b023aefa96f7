"""How the installed command ends: at once, but not before all that has to be done is done."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENDS = """
import atexit, sys
import grokstudy.cli.app as app
from grokstudy.cli.entry import main

command_line = app.main

def watched():
    atexit.register(print, "cleaned up")
    command_line()

app.main, sys.argv = watched, ["grokstudy", *{words}]
main()
"""


@pytest.mark.parametrize(
    ("words", "code"), [(["list", "presets"], 0), (["list", "nothing"], 2), (["run", "task=nothing"], 2)]
)
def test_the_exit_code_and_all_that_was_printed_outlive_the_short_way_out(words: list[str], code: int) -> None:
    """A pipe is written in blocks: what is left in the last one must not be lost."""
    ended = subprocess.run([sys.executable, "-c", ENDS.format(words=words)], capture_output=True, text=True)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout.endswith("cleaned up\n")
    assert "Traceback" not in ended.stderr


def test_nobody_is_told_of_a_reader_that_left() -> None:
    """`grokstudy list presets | head -1`: no traceback of ours."""
    piped = f"{sys.executable} -m grokstudy.cli.entry list presets | head -c 1"
    ended = subprocess.run(["bash", "-c", piped], capture_output=True, text=True)
    assert len(ended.stdout) == 1
    assert "Traceback" not in ended.stderr
