"""A Dockerfile as stages of instructions: enough to hold its words to laws and to do its steps without a builder."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


@dataclasses.dataclass(frozen=True, slots=True)
class Instruction:
    """`word` in capitals, and the text behind it without line breaks."""

    word: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """From one FROM to the next; the last stage has no name and is the image."""

    name: str
    base: str
    steps: tuple[Instruction, ...]

    def texts(self, word: str) -> list[str]:
        """Of all its instructions of one kind, in order."""
        return [step.text for step in self.steps if step.word == word]


def instructions(text: str) -> list[Instruction]:
    """Comments are dropped and continued lines joined, as a builder does before it reads anything."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", "", lines)
    return [Instruction(*line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def stages(text: str) -> list[Stage]:
    """Without what stands before the first FROM."""
    found: list[Stage] = []
    for one in instructions(text):
        if one.word == "FROM":
            base, _, name = one.text.partition(" AS ")
            found.append(Stage(name=name, base=base, steps=()))
        elif found:
            found[-1] = dataclasses.replace(found[-1], steps=(*found[-1].steps, one))
    return found


def pairs(text: str) -> dict[str, str]:
    """The `KEY=value KEY="value"` of an ENV, ARG or LABEL."""
    return {key: quoted or plain for key, quoted, plain in re.findall(r'([\w.]+)=(?:"([^"]*)"|(\S*))', text)}


def command(run: str) -> str:
    """What a RUN gives to the shell: mounts are the builder's business."""
    return re.sub(r"--mount=\S+\s*", "", run).strip()
