"""The command line. Each verb is a file; heavy libraries are imported by the verb that needs them."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from grokstudy.cli import (
    browse,
    claim,
    compare,
    critical,
    doctor,
    export,
    figure,
    fit,
    jobs,
    k8s,
    measure,
    phases,
    problems,
    progress,
    read,
    report,
    run,
    share,
    store,
    submit,
    ui,
    verify,
)
from grokstudy.cli.damage import show_damage
from grokstudy.spec.errors import GrokstudyError

app = typer.Typer(
    name="grokstudy",
    help="Maps where neural networks grok: studies of many small trainings become phase diagrams.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for verbs in (
    run,
    critical,
    measure,
    verify,
    export,
    phases,
    compare,
    claim,
    problems,
    fit,
    progress,
    figure,
    report,
    read,
    browse,
    ui,
    doctor,
    share,
    store,
    submit,
    jobs,
    k8s,
):
    verbs.add_to(app)


def main() -> None:
    """Entry point: messages for people on stderr, exit code 2 for bad input, 130 for an interrupt."""
    show_damage()
    errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    try:
        code = app(standalone_mode=False)
    except GrokstudyError as error:
        errors.print("error:", style="bold red", end=" ")
        errors.print(str(error), markup=False)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except OSError as error:  # a full disk, a folder that is not there, a file that may not be written
        errors.print("error:", style="bold red", end=" ")
        errors.print(f"{error.filename or 'file'}: {error.strerror or error}.", markup=False)
        sys.exit(2)
    except Exception as error:
        if not hasattr(error, "format_message"):  # a usage error of the command line has one
            raise
        message = error.format_message().replace("Value error, ", "")  # the validator's name for any wrong value
        if message:  # none when no verb was given: then the help is the answer
            errors.print("error:", style="bold red", end=" ")
            errors.print(message, markup=False)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)  # an interrupt inside a verb comes back as 130


if __name__ == "__main__":
    main()
