"""The verb `ui`: the explorer in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from grokstudy.cli.read import Storage
from grokstudy.cli.run import Plugins
from grokstudy.cli.show import err, out
from grokstudy.spec.errors import BadInput


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(ui)


def ui(
    study: Annotated[str | None, typer.Argument(help="study to open; none = the list of studies")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="port; default 8501 or the next free one")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="address to listen on")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="listen on an address that other machines reach (no login)")
    ] = False,
    allowed_host: Annotated[
        list[str] | None, typer.Option("--allowed-host", help="name under which it is reached, e.g. behind a proxy")
    ] = None,
    root_path: Annotated[str, typer.Option("--root-path", help="path below which a proxy shows it")] = "",
    mlflow: Annotated[
        str, typer.Option("--mlflow", help="address of the UI that `grokstudy mlflow` starts, for links to it")
    ] = "http://127.0.0.1:5000",
    open_browser: Annotated[bool, typer.Option("--open", help="open it in a browser")] = False,
    plugin: Plugins = None,
    storage: Storage = None,
) -> None:
    """Opens the explorer: phase diagrams, cells, trials and their circuits, in a browser.

    Example: grokstudy ui demo --open
    """
    import webbrowser
    from urllib.parse import quote

    from grokstudy.explorer.serve import PORT, is_loopback, serve
    from grokstudy.spec import plugins
    from grokstudy.study.api import find, storage_root
    from grokstudy.tracking.ui import free_port

    for path in plugin or []:
        plugins.add_file(path)
    root = storage_root(storage)
    if study is not None:
        find(study, root)
    if not is_loopback(host) and not allow_remote:
        raise BadInput(
            f"--host: got '{host}', which other machines reach, and the explorer has no login. Add --allow-remote (and "
            "--allowed-host NAME) if that is meant, or keep 127.0.0.1 and put a proxy with a login in front."
        )
    below = "/" + root_path.strip("/") if root_path.strip("/") else ""
    free = free_port(port or PORT, host)
    if port is not None and free != port:
        raise BadInput(f"--port: {port} is taken; {free} is free: --port {free}.")
    address = f"http://{host}:{free}{below}/" + (f"s/{quote(study)}" if study else "")
    if free != (port or PORT):
        err.print(f"Port {PORT} is taken; using {free}.")
    out.print(f"grokstudy explorer: {address}  (Ctrl-C ends it)", markup=False, soft_wrap=True)
    if open_browser:
        webbrowser.open(address)
    serve(root, host=host, port=free, root_path=below, hosts=tuple(allowed_host or ()), mlflow=mlflow)
