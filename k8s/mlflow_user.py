"""Adds a person or a service to MLflow's login, gives one a new password, or takes one away. Needs nothing but Python.

    python3 k8s/mlflow_user.py add NAME < FILE         FILE holds the password, 12 characters or more
    python3 k8s/mlflow_user.py password NAME < FILE
    python3 k8s/mlflow_user.py delete NAME

The administrator's login is in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, the server's address in
MLFLOW_TRACKING_URI: no password is an argument, so none is in the shell's history or in a list of processes.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from typing import Final

CALLS: Final = {
    "add": ("POST", "users/create"),
    "password": ("PATCH", "users/update-password"),
    "delete": ("DELETE", "users/delete"),
}
"""Method and path below /api/2.0/mlflow/ of each command."""
CAUSES: Final = {
    "RESOURCE_ALREADY_EXISTS": "there is such a user; the command `password` sets a new password",
    "RESOURCE_DOES_NOT_EXIST": "there is no such user",
}
SETTINGS: Final = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def request(command: str, name: str, password: str) -> urllib.request.Request:
    """The call that a command means, with the administrator's login from the environment."""
    address, admin, secret = (os.environ[setting] for setting in SETTINGS)
    method, path = CALLS[command]
    body = {"username": name} if command == "delete" else {"username": name, "password": password}
    login = base64.b64encode(f"{admin}:{secret}".encode()).decode()
    return urllib.request.Request(
        f"{address.rstrip('/')}/api/2.0/mlflow/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Basic {login}"},
        method=method,
    )


def cause(error: urllib.error.HTTPError) -> str:
    """Why MLflow refused. Its own message is not shown: it can hold the hash of a password."""
    if error.code in (401, 403):
        return f"MLflow refuses the administrator's login ({error.code}): check {SETTINGS[1]} and {SETTINGS[2]}"
    try:
        code = str(json.load(error)["error_code"])
    except (ValueError, KeyError, TypeError):
        code = "no reason given"
    return CAUSES.get(code, f"MLflow answers {error.code}, {code}")


def main(words: list[str]) -> int:
    """Runs one command; 2 after a mistake, with one line on stderr."""
    if len(words) != 2 or words[0] not in CALLS:
        print(__doc__, file=sys.stderr)
        return 2
    command, name = words
    if missing := [setting for setting in SETTINGS if not os.environ.get(setting)]:
        print(f"{missing[0]}: is not set.", file=sys.stderr)
        return 2
    password = "" if command == "delete" else sys.stdin.readline().rstrip("\n")
    if command != "delete" and len(password) < 12:
        print("password: must be the first line of stdin, 12 characters or more.", file=sys.stderr)
        return 2
    try:
        with urllib.request.urlopen(request(command, name, password), timeout=30):
            print(f"{command} {name}: done")
            return 0
    except urllib.error.HTTPError as error:
        print(f"{command} {name}: {cause(error)}", file=sys.stderr)
    except OSError as error:
        print(f"{command} {name}: {os.environ[SETTINGS[0]]} does not answer: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
