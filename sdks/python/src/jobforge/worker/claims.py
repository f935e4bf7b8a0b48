"""Asking for work whenever there is room for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..clock import monotonic
from ..context import JobFacts
from ..errors import JobForgeError, Refused
from ..http import ANSWER_TIME_S
from .attempts import Attempt, Attempts, held_jobs
from .line import AsyncLine
from .policy import Backoff, Turn, rooms, whose_turn
from .results import Results
from .session import Session

log = logging.getLogger("jobforge")

FAILED = Backoff(0.1, 5.0)
LOOK_AGAIN_S = 1.0
"""Between two looks of a worker that takes nothing for the sake of a job that must run alone."""
SIGNALS_S = 1.0
"""How long the first claim waits for the stream of signals to begin."""
DUE_SLACK_S = 0.002
"""Waited beyond the moment when a job becomes due, so that it is due then."""


class Claims:
    """Claims for one incarnation, one at a time, until it takes no more jobs."""

    def __init__(
        self,
        line: AsyncLine,
        session: Session,
        attempts: Attempts,
        results: Results,
        *,
        queues: Sequence[str],
        types: Sequence[str],
        concurrency: int,
        start: Callable[[Attempt], None],
    ) -> None:
        self._line = line
        self._session = session
        self._attempts = attempts
        self._results = results
        self._queues = list(queues)
        self._types = list(types)
        self._concurrency = concurrency
        self._start = start
        self._wake = asyncio.Event()
        self._unanswered = False
        """Whether a claim was sent whose answer has not come."""
        self._alone_since: float | None = None
        self._idle: float | None = None
        self._turns = 0

    def wake(self) -> None:
        """There may be work, or room for it, or nothing more to do."""
        self._wake.set()

    async def run(self) -> None:
        """Claims until the incarnation takes no more jobs, and no answer is outstanding."""
        session = self._session
        failed: float | None = None
        # The stream of signals wakes it as it begins; then not even the first claim need be held.
        await self._pause(SIGNALS_S)
        while session.takes_jobs() or (self._unanswered and session.may_act()):
            # Before counting room, so that none is missed.
            self._wake.clear()
            held = len(self._attempts.running())
            waited = None if self._alone_since is None else monotonic() - self._alone_since
            turn = whose_turn(waited, held, session.worker_id)
            asked = self._room(turn, held)
            if not asked:
                await self._pause(LOOK_AGAIN_S)
                continue
            try:
                pause = await self._claim(asked, turn)
                failed = None
            except JobForgeError as fault:
                failed = pause = FAILED.after(failed)
                if isinstance(fault, Refused):
                    # Only a server that failed on the way may have given jobs away.
                    self._unanswered = fault.status >= 500
                    pause = max(pause, min(fault.retry_after or 0.0, FAILED.longest))
                if not (isinstance(fault, Refused) and fault.code == "claim_superseded"):
                    log.warning("failed to claim jobs; trying again in %.2g s: %s", pause, fault)
            if pause > 0:
                await self._pause(pause)

    def _room(self, turn: Turn, held: int) -> dict[str, int]:
        if turn is Turn.ALONE:
            return dict.fromkeys(self._queues, 1)
        alone = any(attempt.job.alone for attempt in self._attempts.running())
        free = self._concurrency - held
        if turn is Turn.MAKE_ROOM or alone or free <= 0 or self._results.too_many:
            return {}
        self._turns += 1
        return rooms(min(free, self._session.terms.limits.claim), self._queues, self._turns)

    async def _claim(self, asked: dict[str, int], turn: Turn) -> float:
        """Claims once, starts what came, and gives the time until the next claim."""
        session = self._session
        # Where signals tell of work, nothing need be held open; nor by a worker that only waits for a lost answer.
        hold = 0.0 if session.signals_live or turn is Turn.ALONE or not session.takes_jobs() else session.terms.hold
        beat = session.terms.beat
        body: dict[str, Any] = {
            "worker_id": session.worker_id,
            "queues": [{"name": name, "max": most} for name, most in asked.items()],
            "types": self._types,
            "wait_ms": round(hold * 1000),
            "heartbeat_due_ms": round(beat.due_in(beat.interval) * 1000),
        }
        if beat.enabled:
            body["heartbeat_interval_ms"] = round(beat.interval * 1000)
        if turn is Turn.ALONE:
            body["alone"] = True
        if self._unanswered:
            body["held"] = held_jobs(self._attempts.held(session.worker_id))
        self._unanswered = True
        sent = monotonic()
        answer = await self._post(body, hold)
        if answer is None:
            return 0.0
        self._unanswered = False
        self._note_alone(answer, sent)
        jobs = [JobFacts.of(raw) for raw in answer["jobs"]]
        self._take(jobs, sent)
        # One that was held may be followed by the next, unless it was answered before there was anything to tell.
        if answer["more"] or (hold and (jobs or monotonic() - sent > LOOK_AGAIN_S)):
            return 0.0
        self._idle = None if jobs else session.terms.poll.after(self._idle)
        pause = self._idle or session.terms.poll.first
        due = answer.get("next_due_ms")
        return pause if due is None else min(pause, due / 1000 + DUE_SLACK_S)

    async def _post(self, body: dict[str, Any], hold: float) -> Any:
        """Sends the claim; gives ``None`` if it was held and is not wanted any more."""
        claim = asyncio.ensure_future(self._line.post("claim", body, patience=ANSWER_TIME_S + hold))
        try:
            while hold and not claim.done() and self._session.takes_jobs():
                await asyncio.wait({claim}, timeout=LOOK_AGAIN_S)
            if hold and not claim.done():
                return None
            return await claim
        finally:
            claim.cancel()

    def _note_alone(self, answer: dict[str, Any], sent: float) -> None:
        if not answer.get("alone_waits"):
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = sent

    def _take(self, jobs: list[JobFacts], sent: float) -> None:
        """Starts what was claimed, unless this worker should have stopped meanwhile, as after a freeze."""
        session = self._session
        in_time = (
            session.takes_jobs() and session.may_act() and monotonic() - sent < session.terms.lease + session.terms.hold
        )
        for job in jobs:
            if not in_time:
                self._results.add(session.worker_id, {"id": job.id, "fence": job.fence, "outcome": "released"})
                continue
            attempt = Attempt(job, session.worker_id, session.terms.beat, asyncio.get_running_loop())
            self._attempts.add(attempt)
            if session.was_moved(job.id):
                session.moved(job.id)
            self._start(attempt)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except asyncio.TimeoutError:
            return
        self._idle = None
