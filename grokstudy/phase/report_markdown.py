"""A report as Markdown that reads well as plain text too; its pictures are files beside it."""

from __future__ import annotations

import re
import unicodedata

from grokstudy.phase.report_document import Block, Commands, Document, Picture, Points, Table, Text

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
_INSIDE_WORD = re.compile(r"(?<=\w)\\_(?=\w)")
_ITEM = re.compile(r"^(\s*)([-+]|\d+[.)])(?=\s)")


def to_markdown(document: Document, prefix: str = "") -> str:
    """The text; a picture is expected beside it as `<prefix><name>.png`."""
    parts = [f"# {escaped(document.title)}", escaped(document.written)]
    parts += [f"> **{escaped(warning)}**" for warning in document.warnings]
    if document.facts:
        parts.append("\n".join(f"- {escaped(name)}: **{escaped(value)}**" for name, value in document.facts))
    for section in document.sections:
        parts.append(f"## {escaped(section.title)}")
        parts += [_block(block, prefix) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """The text so that Markdown shows it as it is, on one line; `|` and `<` included.

    An underscore between letters, as in frac_train, is no mark there and stays.
    """
    line = " ".join("".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).split())
    marked = _INSIDE_WORD.sub("_", _SPECIAL.sub(r"\\\1", line))
    return _ITEM.sub(lambda found: found.group(1) + found.group(2)[:-1] + "\\" + found.group(2)[-1], marked)


def _block(block: Block, prefix: str) -> str:
    match block:
        case Text():
            return escaped(block.text)
        case Points():
            return "\n".join(f"- {escaped(item)}" for item in block.items)
        case Commands():
            return _commands(block)
        case Table():
            return _table(block)
        case Picture():
            caption = f"\n\n*{escaped(block.caption)}*" if block.caption else ""
            return f"![{escaped(block.alt)}](<{prefix}{block.name}.png>){caption}"


def _commands(block: Commands) -> str:
    """A code block; its fence is longer than any row of backticks inside."""
    lines = [line for command, comment in block.lines for line in ([f"# {comment}"] if comment else []) + [command]]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}sh", *lines, fence])


def _table(block: Table) -> str:
    marks = tuple("---" if column < block.words else "---:" for column in range(len(block.header)))
    rows = [tuple(map(escaped, block.header)), marks, *(tuple(map(escaped, row)) for row in block.rows)]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"{text}\n\n{escaped(block.note)}" if block.note else text
