"""PgQueuer, with the settings that make it fastest; the reasons are in ../README.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

NAME = "pgqueuer"
VERSION = version(NAME)

BATCH = 500


async def setup(url: str) -> None:
    connection = await asyncpg.connect(url)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


@asynccontextmanager
async def producer(url: str) -> AsyncIterator[Callable[[list[Any]], Awaitable[Any]]]:
    connection = await asyncpg.connect(url)
    queries = Queries(AsyncpgDriver(connection))

    async def add_many(payloads: list[Any]) -> None:
        bodies: list[bytes | None] = [json.dumps(payload).encode() for payload in payloads]
        await queries.enqueue(["noop"] * len(bodies), bodies, [0] * len(bodies))

    yield add_many
    await connection.close()


@asynccontextmanager
async def worker(url: str, note: Callable[[int], None]) -> AsyncIterator[Callable[[], None]]:
    connection = await asyncpg.connect(url)
    pgq = PgQueuer(AsyncpgDriver(connection))

    @pgq.entrypoint("noop")
    async def noop(job: Job) -> None:
        note(json.loads(job.payload or b"")["sequence"])

    running: list[asyncio.Task[None]] = []
    work = pgq.run(batch_size=BATCH, dequeue_timeout=timedelta(seconds=1))
    yield lambda: running.append(asyncio.create_task(work))
    pgq.shutdown.set()
    await asyncio.wait(running, timeout=5)


@asynccontextmanager
async def pending(url: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    connection = await asyncpg.connect(url)
    # What is done moves from the table into a log.
    yield lambda: connection.fetchval("SELECT EXISTS (SELECT FROM pgqueuer)")
    await connection.close()
