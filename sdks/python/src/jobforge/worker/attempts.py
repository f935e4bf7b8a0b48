"""The attempts that a worker has: which run, and which wait for their result to be acknowledged."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from ..clock import monotonic
from ..context import Context, JobFacts, StopReason
from .policy import BeatPolicy

Key = tuple[str, int]


class Attempt:
    """One attempt of one job, from the claim until the server has acknowledged its end."""

    def __init__(self, job: JobFacts, worker_id: str, beat: BeatPolicy, loop: asyncio.AbstractEventLoop) -> None:
        self.job = job
        self.ctx = Context(job)
        self.worker_id = worker_id
        self.started = monotonic()
        self.runs = True
        """Whether its handler has not ended."""
        self.in_loop = False
        """Whether its handler shares the event loop with others."""
        self.beat_interval = beat.interval
        self.next_beat = self.started + beat.interval
        self.told_ignoring = False
        self.stop_asked_at: float | None = None
        self.stop_asked: asyncio.Future[None] = loop.create_future()
        self._loop = loop

    @property
    def key(self) -> Key:
        """The job under the fence of this attempt."""
        return self.job.id, self.job.fence

    def ask_to_stop(self, reason: StopReason) -> None:
        """Asks the handler to stop; may be called from any thread, and more than once."""
        if self.ctx.ask_to_stop(reason):
            self.stop_asked_at = monotonic()
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        if not self.stop_asked.done():
            self.stop_asked.set_result(None)


class Attempts:
    """All attempts of a worker. The event loop changes them, and the threads look at them."""

    def __init__(self, freed: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._all: dict[Key, Attempt] = {}
        self._freed = freed

    def add(self, attempt: Attempt) -> None:
        """Takes in what was claimed."""
        with self._lock:
            self._all[attempt.key] = attempt

    def handler_ended(self, attempt: Attempt, *, reported: bool) -> None:
        """Frees the slot of an attempt. It is kept until its result is acknowledged, if it has one."""
        with self._lock:
            attempt.runs = False
            if not reported:
                self._all.pop(attempt.key, None)
        self._freed()

    def forget(self, key: Key) -> None:
        """Lets go of an attempt whose end was acknowledged."""
        with self._lock:
            self._all.pop(key, None)

    def held(self, worker_id: str) -> list[Attempt]:
        """What this incarnation has, ended or not, as long as the server has not acknowledged its end."""
        with self._lock:
            return [attempt for attempt in self._all.values() if attempt.worker_id == worker_id]

    def running(self) -> list[Attempt]:
        """Those whose handlers run, also of incarnations before this one."""
        with self._lock:
            return [attempt for attempt in self._all.values() if attempt.runs]

    def with_id(self, worker_id: str, job_id: str) -> list[Attempt]:
        """The attempts of a job."""
        return [attempt for attempt in self.held(worker_id) if attempt.job.id == job_id]

    def ask_all_to_stop(self, reason: StopReason) -> None:
        """Asks every handler to stop."""
        for attempt in self.running():
            attempt.ask_to_stop(reason)


def held_jobs(attempts: list[Attempt]) -> list[dict[str, Any]]:
    """What a claim tells of the jobs that the worker has."""
    return [{"id": attempt.job.id, "fence": attempt.job.fence} for attempt in attempts]
