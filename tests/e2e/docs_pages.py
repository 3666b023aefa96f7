"""What a page of the documentation tells its reader to type: commands and files, in order.

A command is a line of a code block that begins with `grokstudy`, `python` or `make`; in a block with "$ " prompts, what
follows a prompt, to the end of its quotes. A remark begins with "#", or after three spaces. A file is the block after
the words "Save as `its name`". A block below `<!-- checked only: reason -->` is not run.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = (*sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")), "README.md")
PROGRAMS = ("grokstudy", "python", "make")
CHECKED_ONLY = re.compile(r"<!-- checked only: (.+?) -->", re.DOTALL)
SAVE_AS = re.compile(r"(?:[Ss]ave as|[Aa]s a file,) `([^`]+)`")
SHELLS = ("", "console", "bash", "sh")


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """A line to type."""

    page: str
    line: int
    text: str
    checked_only: str | None
    """Why it is not run; None if it is."""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


@dataclasses.dataclass(frozen=True, slots=True)
class File:
    """A file to save."""

    name: str
    text: str


def steps_of(page: str) -> list[Command | File]:
    """Commands and files of a page, from top to bottom."""
    found: list[Command | File] = []
    name: str | None = None
    reason: str | None = None
    for token in MarkdownIt().parse((ROOT / page).read_text()):
        if token.type == "inline":
            said = SAVE_AS.search(token.content)
            name, reason = said[1] if said else None, None
        elif token.type == "html_block":
            comment = CHECKED_ONLY.search(token.content)
            reason = comment[1] if comment else reason
        elif token.type in ("fence", "code_block"):
            assert token.map is not None
            first = token.map[0] + (2 if token.type == "fence" else 1)
            if name is not None:
                found.append(File(name, token.content))
            elif token.info in SHELLS:
                commands = commands_of(token.content)
                found += [Command(page, first + line, text, reason) for line, text in commands]
            name = reason = None
    return found


def commands_of(block: str) -> Iterator[tuple[int, str]]:
    """Line (from 0) and text of every command of a code block."""
    lines = block.splitlines()
    prompted = any(line.startswith("$ ") for line in lines)
    for number, line in enumerate(lines):
        text = line.removeprefix("$ ")
        if line.startswith("$ ") if prompted else line.split(" ")[0] in PROGRAMS:
            for following in lines[number + 1 :]:
                if not is_open(text):
                    break
                text += "\n" + following
            yield number, without_remark(text)


def is_open(text: str) -> bool:
    """Whether a quote is still open at the end."""
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False


def without_remark(text: str) -> str:
    """The command alone: a remark after three spaces, outside quotes, is cut off."""
    for gap in re.finditer(r" {3,}", text):
        if not is_open(text[: gap.start()]):
            return text[: gap.start()]
    return text
