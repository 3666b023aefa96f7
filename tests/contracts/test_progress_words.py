"""A board in words, as a line and as a bar."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from grokstudy.cli import live
from grokstudy.cli.live import Mode, drawn, resolved, shown
from grokstudy.cli.show import Format
from grokstudy.execution.job import Progress
from grokstudy.measure_jobs.run import MeasureProgress
from grokstudy.spec.errors import BadInput
from grokstudy.study.board import Board
from grokstudy.study.live_line import live_line
from grokstudy.study.progress_words import duration, line


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that `time.monotonic` says; change its only entry."""
    now = [100.0]
    monkeypatch.setattr("grokstudy.study.board.time.monotonic", lambda: now[0])
    return now


def training(clock: list[float]) -> Board:
    """Three of nine trials done, a quarter of the steps, at 100 a second."""
    board = Board(study="s", where="/data/s", planned=9, done_before=1, stage="training", updates_planned=4000)
    board.outcomes["grokking"] = 1
    board.pack(Progress(pack_id="a", members=2, step=0, updates=0, outcomes={}))
    clock[0] += 10
    board.pack(Progress(pack_id="a", members=2, step=9, updates=1000, outcomes={"grokking": 1, "failed": 1}))
    return board


def test_training_says_counts_rate_time_left_and_outcomes(clock: list[float]) -> None:
    assert line(training(clock)) == (
        "s: training · 3/9 trials · 25% of 4,000 steps · 100 steps/s · 0:30 left · 2 grokking · 1 failed"
    )


@pytest.mark.parametrize("stage", ["measuring", "verifying"])
def test_measuring_and_verifying_have_a_rate_and_a_time_left(clock: list[float], stage: str) -> None:
    board = Board(study="s", stage="verifying" if stage == "verifying" else "preparing")
    board.measuring(MeasureProgress(done=0, total=60))
    assert line(board) == f"s: {stage} · 0/60 checkpoints"
    clock[0] += 40
    board.measuring(MeasureProgress(done=20, total=60))
    assert line(board) == f"s: {stage} · 20/60 checkpoints · 0.5 checkpoints/s · 1:20 left"


def test_a_trial_alone_shows_its_losses() -> None:
    board = Board(study="s", planned=1, stage="training", updates_planned=10)
    now = {"train_loss": 0.5, "train_acc": 1.0, "test_loss": 2.0, "test_acc": 0.25}
    board.pack(Progress(pack_id="a", members=1, step=5, updates=0, outcomes={}, latest=now))
    assert line(board).endswith("train loss 5.00e-01 acc 1.000, test loss 2.00e+00 acc 0.250")


def test_stages_without_a_rate_say_none(clock: list[float]) -> None:
    board = training(clock)
    board.stage = "reporting"
    assert line(board) == "s: reporting · 3/9 trials · 2 grokking · 1 failed"


def test_hours_are_shown_when_there_are_any() -> None:
    assert [duration(seconds) for seconds in (0, 59.4, 3599, 3661)] == ["0:00", "0:59", "59:59", "1:01:01"]


def _picture(board: Board, width: int = 100) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system="standard")
    console.print(drawn(board))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_bar_says_where_to_look(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("GROKSTUDY_STORAGE", "/data")
    board = training(clock)
    picture = _picture(board)
    for part in ("25%", "3/9 trials", "100 steps/s", "0:30 left", "2 grokking", "/data/s · grokstudy ui s\x1b"):
        assert part in picture
    monkeypatch.setenv("GROKSTUDY_STORAGE", "/elsewhere")
    assert "grokstudy ui s --storage /data" in _picture(board)


def test_every_line_of_the_bar_fits_a_narrow_terminal(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert len(_picture(training(clock), width=40).splitlines()) == 4


def test_no_color_is_obeyed(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = "\x1b[9"  # bright foreground colours are 90 to 97
    assert coloured in _picture(training(clock))
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured not in _picture(training(clock))


def test_auto_is_lines_in_a_pipe_and_quiet_beside_json() -> None:
    assert resolved(Mode.auto) is Mode.lines
    assert resolved(Mode.auto, Format.json) is Mode.quiet
    assert resolved(Mode.lines, Format.json) is Mode.lines


def test_auto_is_a_bar_on_a_terminal_that_can_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(live, "err", Console(stderr=True, force_terminal=True))
    assert resolved(Mode.auto) is Mode.bar
    monkeypatch.setenv("TERM", "dumb")
    assert resolved(Mode.auto) is Mode.lines


def test_a_bar_in_a_pipe_is_refused() -> None:
    with pytest.raises(BadInput, match="--progress: bar needs a terminal"), shown(Board(study="s"), Mode.bar):
        pass


def test_lines_are_printed_when_they_change(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LINE_SECONDS", 0.001)
    monkeypatch.setattr("sys.stderr", pipe := io.StringIO())
    board = training(clock)
    first = line(board)
    with shown(board, Mode.lines):
        while not pipe.getvalue():
            time.sleep(0.001)
        board.stage = "reporting"
        while pipe.getvalue().count("\n") < 2:
            time.sleep(0.001)
    assert pipe.getvalue() == f"{first}\n{line(board)}\n"


def test_python_shows_a_line_where_somebody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = Board(study="s", planned=3, done_before=1, stage="training", updates_planned=10)
    board.notices.append("a notice")
    with live_line(board):
        pass
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with live_line(board):
        pass
    text = capsys.readouterr().err
    assert "\rs: training" in text
    assert text.endswith("a notice\n")
