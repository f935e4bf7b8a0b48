"""Drives a job queue of Python through one scenario of `cargo xtask bench-workers`.

    python driver.py PEER SCENARIO --database-url URL [--jobs N]

Every scenario prints one JSON line on stdout. What each of them measures is defined in ../README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import time
from types import ModuleType
from typing import Any

PEERS = ("jobforge_sdk", "pgqueuer_peer", "procrastinate_peer")
ENQUEUE_BATCH_JOBS = 5000
DRAIN_LIMIT_S = 600
DURABLE_POLL_S = 0.002
PADDING = "x" * 80


class Arrivals:
    """Notes the first start of every job; `all` is set with the last of them."""

    def __init__(self, count: int) -> None:
        self.missing = set(range(count))
        self.all = asyncio.Event()

    def note(self, sequence: int) -> None:
        """A handler was called."""
        self.missing.discard(sequence)
        if not self.missing:
            self.all.set()


async def setup(peer: ModuleType, url: str, jobs: int) -> dict[str, Any]:
    await peer.setup(url)
    return {"peer": peer.NAME, "scenario": "setup", "version": peer.VERSION}


async def enqueue_bulk(peer: ModuleType, url: str, jobs: int) -> dict[str, Any]:
    async with peer.producer(url) as add_many:
        began = time.monotonic()
        for first in range(0, jobs, ENQUEUE_BATCH_JOBS):
            batch = range(first, min(jobs, first + ENQUEUE_BATCH_JOBS))
            await add_many([{"sequence": sequence, "padding": PADDING} for sequence in batch])
        return throughput(peer, "enqueue_bulk", jobs, time.monotonic() - began)


async def drain(peer: ModuleType, url: str, jobs: int) -> dict[str, Any]:
    arrivals = Arrivals(jobs)
    async with peer.pending(url) as pending, peer.worker(url, arrivals.note) as begin:
        cpu, began = time.process_time(), time.monotonic()
        begin()
        await asyncio.wait_for(arrivals.all.wait(), DRAIN_LIMIT_S)
        # Nobody is asked before the last handler has started, so the question costs the drain nothing.
        while await pending():
            await asyncio.sleep(DURABLE_POLL_S)
        elapsed, used = time.monotonic() - began, time.process_time() - cpu
    return {**throughput(peer, "drain", jobs, elapsed), "worker_cpu_us_per_job": used * 1e6 / jobs}


def throughput(peer: ModuleType, scenario: str, jobs: int, seconds: float) -> dict[str, Any]:
    return {"peer": peer.NAME, "scenario": scenario, "jobs": jobs, "seconds": seconds, "per_second": jobs / seconds}


SCENARIOS = {"setup": setup, "enqueue-bulk": enqueue_bulk, "drain": drain}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--jobs", type=int, default=0)
    given = parser.parse_args()
    peer = importlib.import_module(given.peer)
    print(json.dumps(asyncio.run(SCENARIOS[given.scenario](peer, given.database_url, given.jobs))))


main()
