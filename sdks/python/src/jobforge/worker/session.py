"""One incarnation of a worker, from its registration to the end of its lease."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..clock import monotonic
from ..context import StopReason
from .attempts import Attempts
from .policy import Reliance, Terms, acts_until

log = logging.getLogger("jobforge")

MOVED_KEPT = 1000
"""Most jobs remembered that were moved and are not known here."""


class SessionThread(threading.Thread):
    """A thread of one incarnation. If it fails, the worker begins anew rather than going on without it."""

    def __init__(self, name: str, session: Session) -> None:
        super().__init__(name=f"jobforge {name}", daemon=True)
        self.session = session

    def run(self) -> None:
        """Works until the incarnation closes."""
        try:
            self.work()
        except Exception:
            if not self.session.closing.is_set():
                log.exception("the thread %r failed, which is a mistake in this library", self.name)
                self.session.lose("one of its threads failed")

    def work(self) -> None:
        """What the thread does."""
        raise NotImplementedError


class Session:
    """What the loop and the threads of one incarnation share."""

    def __init__(self, terms: Terms, sent: float, attempts: Attempts, ordered: Callable[[], None]) -> None:
        self.terms = terms
        self.worker_id = terms.worker_id
        self.attempts = attempts
        self.reliance = Reliance(terms.lease)
        self.acts_until = acts_until(sent, terms.lease)
        self.lost = False
        self.restarting = False
        self.draining = False
        self.signals_live = False
        """Whether the stream of signals tells when there is work."""
        self.closing = threading.Event()
        self.renew_soon = threading.Event()
        self.beat_soon = threading.Event()
        self.beat_all = False
        self._ordered = ordered
        self._lock = threading.Lock()
        self._moved: dict[str, None] = {}

    def may_act(self) -> bool:
        """Whether this incarnation can be sure that nobody else has its jobs."""
        return not self.lost and monotonic() < self.acts_until

    def takes_jobs(self) -> bool:
        """Whether it asks for more."""
        return not (self.lost or self.draining or self.restarting or self.closing.is_set())

    def renewed(self, sent: float, lease: float) -> None:
        """Takes note of a renewal that was sent at this moment and acknowledged."""
        before = self.reliance.lease
        self.reliance.given(lease, sent)
        if self.reliance.lease != before:
            log.info(
                "Heartbeat: the lease of worker %s lasts %g s instead of %g s",
                self.worker_id,
                self.reliance.lease,
                before,
            )
        # What was answered before is not taken back by a shorter lease.
        self.acts_until = max(self.acts_until, acts_until(sent, self.reliance.lease))

    def lose(self, why: str) -> None:
        """Stops everything: others may run these jobs from now on."""
        with self._lock:
            if self.lost or self.closing.is_set():
                return
            self.lost = True
        log.error(
            "Heartbeat: worker %s has lost its lease (%s); it stops its jobs and starts anew", self.worker_id, why
        )
        self.attempts.ask_all_to_stop(StopReason.LOST)
        self._ordered()

    def restart(self) -> None:
        """Takes note that somebody told the worker to restart."""
        if not self.restarting:
            self.restarting = True
            log.info("Heartbeat: worker %s was told to restart; it takes nothing new", self.worker_id)
            self._ordered()

    def drain(self) -> None:
        """Takes nothing new, and tells the server."""
        self.draining = True
        self.renew_soon.set()

    def ask_for_all(self) -> None:
        """Has every job asked for with the next heartbeat, which comes at once."""
        self.beat_all = True
        self.beat_soon.set()

    def moved(self, job_id: str) -> None:
        """A job was moved by another hand: asks for it, now or when a claim that is under way brings it."""
        known = self.attempts.with_id(self.worker_id, job_id)
        for attempt in known:
            attempt.next_beat = 0.0
        if known:
            self.beat_soon.set()
            return
        with self._lock:
            self._moved[job_id] = None
            if len(self._moved) > MOVED_KEPT:
                del self._moved[next(iter(self._moved))]

    def was_moved(self, job_id: str) -> bool:
        """Whether a job that has just come was moved on its way; forgets that."""
        with self._lock:
            return self._moved.pop(job_id, "") is None

    def close(self) -> None:
        """Ends the threads."""
        self.closing.set()
        self.renew_soon.set()
        self.beat_soon.set()
