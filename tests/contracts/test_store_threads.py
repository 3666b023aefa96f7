"""Studies read by several threads at once, as a server does from its first request on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grokstudy as gs

SCRIPT = """
import sys, threading
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect

folders = [StudyFolder.open(sys.argv[1], name) for name in ("a", "b")] * 4
start, counts, errors = threading.Barrier(len(folders)), [], []

def read(folder):
    start.wait()
    try:
        with connect([folder]) as connection:
            counts.append(connection.execute("SELECT count(*) FROM trials").fetchall()[0][0])
    except Exception as error:
        errors.append(repr(error))

threads = [threading.Thread(target=read, args=(folder,)) for folder in folders]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(counts, errors)
"""


def test_first_readers_that_come_together_read_and_the_process_ends_in_silence(tmp_path: Path) -> None:
    root = str(tmp_path / "data")
    words = ("preset=quad23", "task.p=7", "model.width=8", "tracking=none", "cluster=none")
    for name in ("a", "b"):
        gs.run(*words, name=name, steps=2, root=root, progress=False)
    for _ in range(3):  # without a lock two of four such processes failed
        ended = subprocess.run([sys.executable, "-c", SCRIPT, root], capture_output=True, text=True, timeout=100)
        assert ended.stdout == f"{[1] * 8} []\n"
        assert ended.stderr == ""
