"""The log of a remote job as it grows: an asynchronous stream of text, read by code that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp

SILENCE_SECONDS = 60.0
"""Without a line for so long, the connection counts as broken: a link that was cut says nothing."""


class LogBroken(Exception):
    """The connection ended before the job did, or nothing came for long."""


def new_text(stream: AsyncIterator[str], shown: int) -> Iterator[str]:
    """Text of the stream, without its first `shown` characters: a stream begins at the log's beginning.

    Raises:
        LogBroken: the connection broke.
        KeyboardInterrupt: it was interrupted; the connection is closed.
    """
    position = 0
    with asyncio.Runner() as runner:
        while True:
            try:
                text = runner.run(_next(stream))
            except (aiohttp.ClientError, OSError, RuntimeError, TimeoutError) as error:
                raise LogBroken(str(error)) from error
            if text is None:
                return
            fresh = text[max(0, shown - position) :]
            position += len(text)
            if fresh:
                yield fresh


async def _next(stream: AsyncIterator[str]) -> str | None:
    async with asyncio.timeout(SILENCE_SECONDS):
        return await anext(stream, None)
