"""Where the command `grokstudy` begins and ends, an interrupt while libraries are being loaded included."""

from __future__ import annotations

import atexit
import os
import sys


def main() -> None:
    """Runs the command line (see `grokstudy.cli.app.main`) and ends the process: for the installed command alone."""
    end = _End()
    atexit.register(end.at_once)  # registered first, so called after all others
    try:
        try:
            from grokstudy.cli.app import main as command_line
        except KeyboardInterrupt:
            print("Interrupted; nothing was begun.", file=sys.stderr)
            sys.exit(130)
        command_line()
    except SystemExit as exit:
        end.code = exit.code
        raise


class _End:
    """Ends the process when all is done that has to be.

    What Python would do next is to take apart every object of torch, Ray and MLflow, one by one: up to 2.6 s in which
    the user waits for a prompt, and then the system frees the memory at once.
    """

    code: object = None

    def at_once(self) -> None:
        if not isinstance(self.code, int):
            return  # a traceback
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            return  # nobody reads any more: Python says what it says then
        os._exit(self.code)


if __name__ == "__main__":
    main()
