"""Names that a person gives to a study: one folder on every storage, one word on every command line."""

from __future__ import annotations

import re

from grokstudy.spec.errors import BadInput

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9_-])?")
"""A dot at the end is lost on Windows, so that two names would be one folder."""
DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
"""What Windows takes for a device wherever it stands."""
RESERVED = ("mlflow-artifacts", "probes")
"""Folders that lie beside the studies under a storage root."""
DATABASE = "mlflow.db"
"""Start of the names of MLflow's files there."""


def check_study_name(name: str) -> None:
    """Accepts what can be the folder of a study, and nothing that could lead out of it.

    Raises:
        BadInput: it cannot; says what a name is made of, or why this one is taken.
    """
    if not NAME.fullmatch(name):
        raise BadInput(
            f"name: got {_shown(name)}, must be letters (a-z, A-Z), digits, '_', '-' or '.', at most 100, a letter or "
            "digit first and no '.' last."
        )
    if DEVICES.fullmatch(name):
        raise BadInput(f"name: got '{name}', which is a device on Windows, where the study could not be opened.")
    if name.lower() in RESERVED or name.lower().startswith(DATABASE):
        raise BadInput(f"name: got '{name}', which lies beside the studies under every storage root. Choose another.")


def _shown(name: str) -> str:
    """As given where that is harmless on a terminal."""
    text = name if len(name) <= 60 else f"{name[:59]}…"
    return f"'{text}'" if text.isprintable() else ascii(text)
