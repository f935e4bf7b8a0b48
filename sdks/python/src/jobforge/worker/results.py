"""Reporting how attempts ended, in batches that gather while the last one is under way, until each is answered."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any

from ..errors import JobForgeError, NotAnswered, Refused
from ..http import body_of
from .attempts import Attempts, Key
from .handling import refused_result
from .line import AsyncLine
from .policy import Backoff, Limits

log = logging.getLogger("jobforge")

AGAIN = Backoff(0.05, 5.0)
MAY_PASS = frozenset({408, 429, 502, 503, 504, 507})
MANY_WAITING = 1000
"""A worker that cannot report so many takes no more."""


@dataclass
class Waiting:
    """A result that was not acknowledged."""

    worker_id: str
    body: dict[str, Any]
    written: bytes
    """The body as it is sent."""
    replaced: bool = False
    """Whether it stands for one that the server has refused."""

    @property
    def key(self) -> Key:
        """The job under the fence of its attempt."""
        return self.body["id"], self.body["fence"]


class Results:
    """The results of all incarnations of a worker."""

    def __init__(self, line: AsyncLine, attempts: Attempts) -> None:
        self._line = line
        self._attempts = attempts
        self._waiting: deque[Waiting] = deque()
        self._added = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()
        self.limits: Limits | None = None

    @property
    def too_many(self) -> bool:
        """Whether so many wait that no more jobs should be taken."""
        return len(self._waiting) >= MANY_WAITING

    def add(self, worker_id: str, body: dict[str, Any]) -> None:
        """Takes in a result."""
        self._waiting.append(Waiting(worker_id, body, body_of(body)))
        self._flushed.clear()
        self._added.set()

    async def flushed(self, within: float) -> bool:
        """Waits until all have been answered."""
        try:
            await asyncio.wait_for(self._flushed.wait(), within)
        except asyncio.TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Sends what there is until it is canceled."""
        wait: float | None = None
        while True:
            await self._added.wait()
            self._added.clear()
            while self._waiting:
                batch = self._next_batch()
                try:
                    await self._send(batch)
                except JobForgeError as fault:
                    self._waiting.extendleft(reversed(batch))
                    wait = AGAIN.after(wait)
                    if isinstance(fault, Refused) and fault.retry_after:
                        wait = max(wait, min(fault.retry_after, AGAIN.longest))
                    log.warning("failed to report %d results; trying again in %.2g s: %s", len(batch), wait, fault)
                    await asyncio.sleep(wait)
                else:
                    wait = None
            self._flushed.set()

    def _next_batch(self) -> list[Waiting]:
        """Takes the oldest of one incarnation, as many as fit into one request."""
        most = self.limits.results if self.limits else 1
        room = self.limits.body_bytes // 2 if self.limits else 0
        batch = [self._waiting.popleft()]
        room -= len(batch[0].written)
        while self._waiting and len(batch) < most and self._waiting[0].worker_id == batch[0].worker_id:
            room -= len(self._waiting[0].written)
            if room < 0:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _send(self, batch: list[Waiting]) -> None:
        """Sends a batch; raises when it is to be sent again as it is."""
        results = b",".join(each.written for each in batch)
        body = b'{"worker_id":%s,"results":[%s]}' % (body_of(batch[0].worker_id), results)
        try:
            answers = (await self._line.post("results", body))["results"]
        except NotAnswered:
            raise
        except Refused as fault:
            if fault.status in MAY_PASS or fault.status in (401, 403):
                raise
            return await self._send_apart(batch, fault)
        for each, answer in zip(batch, answers, strict=True):
            self._attempts.forget(each.key)
            # What was given back may well have been taken already.
            if answer["answer"] in ("fenced", "gone") and each.body["outcome"] != "released":
                log.warning(
                    "the result of job %s came too late: it is %s now", each.body["id"], answer.get("status", "gone")
                )
        return None

    async def _send_apart(self, batch: list[Waiting], fault: Refused) -> None:
        """One result makes no sense, and a batch is refused as a whole: finds out which it is."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._send(batch[:middle])
            # What was answered need not be sent again if the rest fails.
            del batch[:middle]
            return await self._send(batch)
        alone = batch[0]
        log.error("the result of job %s was refused: %s", alone.body["id"], fault)
        if fault.status >= 500 or alone.replaced:
            # Left to the lease: whoever runs the job next may fare better.
            return self._attempts.forget(alone.key)
        alone.body, alone.replaced = refused_result(alone.body, fault.detail), True
        alone.written = body_of(alone.body)
        return await self._send(batch)
