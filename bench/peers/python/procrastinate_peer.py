"""procrastinate, with the settings that make it fastest; the reasons are in ../README.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector

NAME = "procrastinate"
VERSION = version(NAME)

CONCURRENCY = 10


def application(url: str) -> App:
    return App(connector=PsycopgConnector(conninfo=url, min_size=CONCURRENCY, max_size=CONCURRENCY))


async def setup(url: str) -> None:
    async with application(url).open_async() as app:
        await app.schema_manager.apply_schema_async()


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[Callable[[list[Any]], Awaitable[Any]]]:
    async with application(url).open_async() as app:
        job = app.configure_task("noop")
        yield lambda payloads: job.batch_defer_async(*payloads)


@asynccontextmanager
async def worker(url: str, note: Callable[[int], None]) -> AsyncIterator[Callable[[], None]]:
    app = application(url)

    @app.task(name="noop")
    async def noop(sequence: int, padding: str) -> None:
        note(sequence)

    async with app.open_async():
        running: list[asyncio.Task[None]] = []
        work = app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)
        yield lambda: running.append(asyncio.create_task(work))
        running[0].cancel()
        await asyncio.wait(running)


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    # Jobs stay as history.
    left = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

        async def ask() -> bool:
            row = await (await connection.execute(left)).fetchone()
            return bool(row and row[0])

        yield ask
