"""JobForge's Python worker over HTTP. JOBFORGE_URL and JOBFORGE_TOKEN say where."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import jobforge as jf

NAME = "jobforge-python"
VERSION = "of this repository"

TASK = "noop"


async def setup(url: str) -> None:
    """The server has prepared its database."""


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[Callable[[list[Any]], Awaitable[None]]]:
    async with jf.AsyncClient() as client:

        async def add_many(payloads: list[Any]) -> None:
            await client.enqueue_many([jf.new_job(TASK, payload) for payload in payloads])

        yield add_many


@asynccontextmanager
async def worker(url: str, note: Callable[[int], None]) -> AsyncIterator[Callable[[], None]]:
    app = jf.JobForge()

    @app.task(TASK)
    async def noop(ctx: jf.Context, sequence: int, padding: str) -> None:
        note(sequence)

    working = app.worker(concurrency=500)
    running: list[asyncio.Task[Any]] = []
    yield lambda: running.append(asyncio.create_task(working.run()))
    working.stop()
    await asyncio.wait(running)


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    async with jf.AsyncClient() as client:

        async def ask() -> bool:
            return bool((await client.page(status=["queued", "running"], limit=1)).jobs)

        yield ask
