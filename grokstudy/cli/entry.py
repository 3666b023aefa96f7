"""Where the command `grokstudy` begins: an interrupt while the libraries are still being loaded ends in a word too."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; see `grokstudy.cli.app.main`."""
    try:
        from grokstudy.cli.app import main as command_line
    except KeyboardInterrupt:
        print("Interrupted; nothing was begun.", file=sys.stderr)
        sys.exit(130)
    command_line()
