"""A worker from its start to its end, through as many incarnations as it takes."""

from __future__ import annotations

import asyncio
import enum
import logging
import os
import secrets
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..clock import monotonic
from ..context import StopReason
from ..errors import JobForgeError, Refused
from ..http import SDK, Address
from ..settings import Rhythm
from ..task import Task
from .attempts import Attempt, Attempts
from .beats import STOP_TIME_S, Beats
from .claims import Claims
from .handling import result_of, run_to_its_end
from .line import AsyncLine
from .policy import Backoff, Terms
from .renewals import Renewals
from .results import Results
from .session import Session
from .signals import Signals
from .watch import Watch

log = logging.getLogger("jobforge")

AGAIN = Backoff(0.05, 5.0)
FLUSH_S = 10.0
"""How long a worker that stops tries to report the last results."""
NOT_LET_IN = frozenset({401, 403})
SET_UP_WRONGLY = NOT_LET_IN | {400, 404, 405, 422}
"""What the server answers to a worker that has never been let in; later it may be a server that is being replaced."""


class Ended(enum.Enum):
    """Why a worker has ended."""

    STOPPED = "it was asked to stop"
    RESTART = "it was told to restart"


class _Lost(Exception):
    """This incarnation has lost its lease."""


@dataclass(frozen=True)
class WorkerConfig:
    """How a worker is to work."""

    queues: tuple[str, ...] = ("default",)
    concurrency: int = 10
    """Jobs that run at once, in all queues together."""
    grace_s: float = 30.0
    """How long running jobs may go on when the worker stops, before they are given back."""
    name: str | None = None
    """A label for people."""
    rhythm: Rhythm = field(default_factory=Rhythm)
    ends_to_restart: bool = False
    """Whether the process is started anew when somebody tells the worker to restart."""


class Worker:
    """Runs the handlers of tasks. It registers as a new worker whenever it has lost its lease."""

    def __init__(self, address: Address, tasks: Mapping[str, Task[Any, Any]], config: WorkerConfig) -> None:
        if not tasks:
            raise ValueError("a worker without tasks has nothing to do: decorate a handler with @app.task(…)")
        if not config.queues or config.concurrency < 1:
            raise ValueError("a worker needs at least one queue and a concurrency of at least 1")
        self._address = address
        self._tasks = dict(tasks)
        self._config = config
        self._attempts = Attempts(self._freed)
        self._running: set[asyncio.Task[None]] = set()
        self._claims: Claims | None = None
        self._changed = asyncio.Event()
        """Set when something has happened that a change of plan may follow from."""
        self._stop = False
        self._grace_s = config.grace_s
        self._has_been = False

    def stop(self, *, at_once: bool = False) -> None:
        """Asks the worker to stop; called from its event loop. ``at_once`` gives running jobs no time to finish."""
        self._stop = True
        if at_once:
            self._grace_s = 0.0
        self._changed.set()

    async def run(self) -> Ended:
        """Works until it is asked to stop, and has stopped in good order."""
        async with AsyncLine(self._address) as line:
            results = Results(line, self._attempts)
            sender = asyncio.create_task(results.run(), name="jobforge results")
            try:
                while True:
                    try:
                        ended = await self._live(line, results, sender)
                    except _Lost:
                        continue
                    if ended is Ended.STOPPED or self._config.ends_to_restart:
                        return ended
            finally:
                sender.cancel()

    def running(self) -> list[Attempt]:
        """Attempts whose handlers have not ended."""
        return self._attempts.running()

    async def _live(self, line: AsyncLine, results: Results, sender: asyncio.Task[None]) -> Ended:
        """Lives through one incarnation."""
        session = await self._register(line)
        if session is None:
            # There may be some of an incarnation that has lost its lease.
            await results.flushed(FLUSH_S)
            return Ended.STOPPED
        results.limits = session.terms.limits
        claims = self._claims = Claims(
            line,
            session,
            self._attempts,
            results,
            queues=self._config.queues,
            types=list(self._tasks),
            concurrency=self._config.concurrency,
            start=lambda attempt: self._start(attempt, session, results, line),
        )
        for thread in self._threads(session, claims):
            thread.start()
        claiming = asyncio.create_task(claims.run(), name="jobforge claims")
        try:
            await self._until_change(session, claiming, sender)
            if not session.lost:
                await self._drain(session, claims, claiming, results)
            if session.lost:
                await self._give_up(claims, claiming)
                raise _Lost
            await self._leave(line, session, results)
            return Ended.STOPPED if self._stop else Ended.RESTART
        finally:
            claiming.cancel()
            session.close()

    def _threads(self, session: Session, claims: Claims) -> list[threading.Thread]:
        loop = asyncio.get_running_loop()
        return [
            Renewals(self._address, session),
            Beats(self._address, session),
            Watch(session, loop),
            Signals(self._address, session, lambda: _tell(loop, claims.wake)),
        ]

    async def _register(self, line: AsyncLine) -> Session | None:
        """Makes a new incarnation known; ``None`` if the worker is asked to stop before."""
        config, loop = self._config, asyncio.get_running_loop()
        body: dict[str, Any] = {
            "worker_id": new_identity(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "sdk": SDK,
            "queues": list(config.queues),
            "types": list(self._tasks),
            "slots": config.concurrency,
            **({"name": config.name} if config.name else {}),
        }
        wait: float | None = None
        while not self._stop:
            sent = monotonic()
            try:
                terms = Terms.of(await line.post("register", body), config.rhythm)
            except JobForgeError as fault:
                if isinstance(fault, Refused):
                    if fault.status in (NOT_LET_IN if self._has_been else SET_UP_WRONGLY):
                        raise
                    if fault.code == "worker_id_taken":
                        body["worker_id"] = new_identity()
                wait = AGAIN.after(wait)
                log.warning("Heartbeat: failed to register; trying again in %.2g s: %s", wait, fault)
                await self._pause(wait)
                continue
            self._has_been = True
            log.info(
                "Heartbeat: worker %s on %s is live and renews its lease of %g s",
                terms.worker_id,
                body["host"],
                terms.lease,
            )
            return Session(terms, sent, self._attempts, lambda: _tell(loop, self._changed.set))
        return None

    def _start(self, attempt: Attempt, session: Session, results: Results, line: AsyncLine) -> None:
        running = asyncio.create_task(self._attempt(attempt, session, results, line))
        # The loop itself keeps no hold of its tasks.
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _attempt(self, attempt: Attempt, session: Session, results: Results, line: AsyncLine) -> None:
        # A claim answers only for the types it asked for.
        ending = await run_to_its_end(attempt, self._tasks[attempt.job.type], line)
        result = result_of(attempt, ending)
        if result is not None:
            results.add(session.worker_id, result)
        self._attempts.handler_ended(attempt, reported=result is not None)

    async def _until_change(self, session: Session, claiming: asyncio.Task[None], sender: asyncio.Task[None]) -> None:
        """Waits until the worker stops, restarts or has lost its lease; raises what one of its parts failed with."""
        while not (self._stop or session.restarting or session.lost):
            self._changed.clear()
            changed = asyncio.ensure_future(self._changed.wait())
            parts: set[asyncio.Future[Any]] = {changed, claiming, sender}
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if sender.done():
                sender.result()
            if claiming.done() and session.takes_jobs():
                claiming.result()

    async def _drain(self, session: Session, claims: Claims, claiming: asyncio.Task[None], results: Results) -> None:
        """Takes nothing new, lets what runs come to its end, and gives the rest back when the grace is over."""
        session.drain()
        claims.wake()
        running = len(self._attempts.running())
        log.info("worker %s stops: %d jobs run and get %g s", session.worker_id, running, self._grace_s)
        began = monotonic()
        await asyncio.wait({claiming}, timeout=FLUSH_S)
        while self._attempts.running() and not session.lost:
            left = began + self._grace_s - monotonic()
            if left <= 0:
                break
            await self._pause(left)
        if not session.lost:
            self._attempts.ask_all_to_stop(StopReason.SHUTDOWN)
            await self._idle(STOP_TIME_S)
            await results.flushed(FLUSH_S)

    async def _give_up(self, claims: Claims, claiming: asyncio.Task[None]) -> None:
        """Waits until what was stopped has ended: the next incarnation must not run beside it."""
        claims.wake()
        await asyncio.wait({claiming}, timeout=STOP_TIME_S)
        # A claim that was under way may have brought jobs since.
        self._attempts.ask_all_to_stop(StopReason.LOST)
        await self._idle(STOP_TIME_S)

    async def _leave(self, line: AsyncLine, session: Session, results: Results) -> None:
        session.close()
        for attempt in self._attempts.running():
            log.error("the handler of job %s has not stopped; its job runs elsewhere from now on", attempt.job.id)
        if not await results.flushed(0.001):
            log.error("some results could not be reported; their jobs run again when the lease is over")
            return
        reason = "stopped" if self._stop else "restarts"
        try:
            await line.post("leave", {"worker_id": session.worker_id, "reason": reason}, patience=FLUSH_S)
        except JobForgeError as fault:
            log.warning("failed to leave: %s", fault)
        log.info("Heartbeat: worker %s has left", session.worker_id)

    async def _idle(self, within: float) -> None:
        ends = monotonic() + within
        while self._attempts.running() and monotonic() < ends:
            await self._pause(ends - monotonic())

    async def _pause(self, seconds: float) -> None:
        """Waits, until something changes."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except asyncio.TimeoutError:
            return

    def _freed(self) -> None:
        self._changed.set()
        if self._claims:
            self._claims.wake()


def new_identity() -> str:
    """The name of a new incarnation."""
    return f"worker-{secrets.token_hex(4)}"


def _tell(loop: asyncio.AbstractEventLoop, what: Any) -> None:
    loop.call_soon_threadsafe(what)
