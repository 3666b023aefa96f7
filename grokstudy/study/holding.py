"""Holding a study for work on it: lock and progress.json, both given back however the process ends.

Ctrl-C is orderly: it reaches the work, which ends as it likes. SIGTERM means that the platform takes the process away
(Ray Jobs kill 3 s later): nothing is saved then that is not saved already, and nothing waits for a library.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import StudyLock, study_lock
from grokstudy.study.activity import published
from grokstudy.study.board import Board

TERMINATED = 128 + signal.SIGTERM
"""Exit code, as of any program that SIGTERM ends."""
LEAVE_SECONDS = 2.5
"""For giving back the lock; a storage that is away must not keep the process until it is killed."""
LOOK_SECONDS = 0.5
"""Until a thread that waits for the loss of a lock notices that the lock is no longer held."""


@contextlib.contextmanager
def held(folder: StudyFolder, board: Board) -> Iterator[StudyLock]:
    """Holds the study for this process and shows the board in progress.json.

    While an owner elsewhere may live, this waits with words on the board. On SIGTERM both files are deleted and the
    process ends with 143 within 3 s, whatever it is doing. When the lock is lost, KeyboardInterrupt is raised in the
    block at once.

    Raises:
        StudyBusy: a live process holds the study, or another one took it over from this process.
    """
    both, one = contextlib.ExitStack(), threading.Lock()

    def give_back() -> None:
        with one:  # of the two threads that may want it; the other one waits until it is done
            both.close()

    with _ended_by_sigterm(give_back):
        try:
            lock = both.enter_context(study_lock(folder, board.waits))
            board.waiting = ""
            if lock.taken_over_from:
                board.notices.append(f"This run {lock.taken_over_from}.")
            both.enter_context(published(board, folder))
            with _stopped_when_lost(lock):
                yield lock
        finally:
            give_back()


@contextlib.contextmanager
def _stopped_when_lost(lock: StudyLock) -> Iterator[None]:
    """Ends the block with StudyBusy once the lock is lost: at once in the main thread, else at its end."""
    try:
        with _interrupted_when_lost(lock):
            yield
    except KeyboardInterrupt:
        lock.refuse_if_lost()
        raise
    lock.refuse_if_lost()


@contextlib.contextmanager
def _ended_by_sigterm(give_back: Callable[[], None]) -> Iterator[None]:
    """Lets a thread wait for SIGTERM, since the main one may be deep in a library; it then ends the process.

    The interpreter writes the signal's number to a socket as it arrives, whatever handler a library sets later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting, written = socket.socketpair()
    written.setblocking(False)
    thread = threading.Thread(target=_wait_for_sigterm, args=(waiting, give_back), name="sigterm", daemon=True)
    thread.start()
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    wakeup = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGTERM, handler)
        written.shutdown(socket.SHUT_WR)  # closing alone ends nothing while a forked child still has it open
        written.close()
        thread.join()
        waiting.close()


def _wait_for_sigterm(waiting: socket.socket, give_back: Callable[[], None]) -> None:
    while numbers := waiting.recv(64):
        if signal.SIGTERM in numbers:
            _leave(give_back)


def _leave(give_back: Callable[[], None]) -> None:
    """Gives back what is held and ends the process, at the latest after `LEAVE_SECONDS`."""
    latest = threading.Timer(LEAVE_SECONDS, os._exit, [TERMINATED])
    latest.daemon = True
    latest.start()
    with contextlib.suppress(BaseException):
        give_back()
        print("Terminated. Everything finished is kept; the same command goes on.", file=sys.stderr, flush=True)
    os._exit(TERMINATED)


def _apart() -> None:
    """A forked child (a pool of some library) must not end its parent when it gets a SIGTERM of its own."""
    if signal.set_wakeup_fd(-1) != -1:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


os.register_at_fork(after_in_child=_apart)


@contextlib.contextmanager
def _interrupted_when_lost(lock: StudyLock) -> Iterator[None]:
    """Raises KeyboardInterrupt in the main thread, if that runs the block, once the lock is lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    main, ended, one = threading.get_ident(), threading.Event(), threading.Lock()

    def watch() -> None:
        while not (lock.lost.wait(LOOK_SECONDS) or ended.is_set()):
            pass
        with one:  # the block has ended, or is still there to be interrupted
            if not ended.is_set():
                signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=watch, name="lock", daemon=True).start()
    try:
        yield
    finally:
        with one:
            ended.set()
