"""Keeping the lease, from a thread and a connection of its own, so that no handler can silence the worker."""

from __future__ import annotations

import logging

from ..clock import monotonic
from ..errors import JobForgeError
from ..http import ANSWER_TIME_S, Address
from .line import ThreadLine
from .policy import RENEWALS_PER_LEASE, renewal_pause
from .session import Session, SessionThread

log = logging.getLogger("jobforge")

LOOK_EVERY_S = 1.0
LEAST_PATIENCE_S = 1.0
SOONEST_S = 0.5
"""Between two renewals, however often one is wanted."""
TELL_EVERY_S = 60.0
"""Between two log lines of a worker in which nothing changes."""


class Renewals(SessionThread):
    """Renews the lease of one incarnation until it closes or has lost it."""

    def __init__(self, address: Address, session: Session) -> None:
        super().__init__("renewals", session)
        self._address = address
        self._epoch: int | None = None
        self._failing = False
        self._told = monotonic()
        self._told_held = 0

    def work(self) -> None:
        """Renews until there is nothing left to renew."""
        session = self.session
        with ThreadLine(self._address) as line:
            # The first comes at once: it opens the connection that later ones need.
            while not session.closing.is_set() and not session.lost:
                session.renew_soon.clear()
                sent = monotonic()
                self._renew(line, sent)
                self._tell()
                self._wait(sent)

    def _wait(self, sent: float) -> None:
        """Waits until the next renewal is due, or wanted."""
        session = self.session
        while not session.closing.is_set() and not session.lost:
            left = self._pause() - (monotonic() - sent)
            if left <= 0:
                return
            # A calm worker that is given a job renews more often at once.
            if session.renew_soon.wait(min(left, LOOK_EVERY_S)):
                session.closing.wait(max(0.0, SOONEST_S - (monotonic() - sent)))
                return

    def _pause(self) -> float:
        session = self.session
        calm = not session.draining and not session.attempts.held(session.worker_id)
        return renewal_pause(session.reliance.lease, failing=self._failing, calm=calm)

    def _patience(self) -> float:
        """How long to wait for an answer: a connection that hangs must leave the time for another."""
        return max(LEAST_PATIENCE_S, min(self.session.reliance.lease / RENEWALS_PER_LEASE, ANSWER_TIME_S))

    def _renew(self, line: ThreadLine, sent: float) -> None:
        session = self.session
        left = session.acts_until - sent
        if left <= 0:
            # Past its deadline a worker does not ask any more: others would wait for a lease that nobody keeps.
            return session.lose("it could not renew in time")
        state = "draining" if session.draining or session.restarting else "run"
        try:
            answer = line.post(
                "heartbeat", {"worker_id": session.worker_id, "state": state}, patience=min(left, self._patience())
            )
        except JobForgeError as fault:
            self._failing = True
            log.warning("Heartbeat of worker %s failed; trying again: %s", session.worker_id, fault)
            return None
        self._failing = False
        if answer.get("worker") != "live":
            return session.lose("the server gave its jobs away")
        session.renewed(sent, answer["lease_ms"] / 1000)
        epoch = answer.get("epoch")
        if epoch != self._epoch and self._epoch is not None:
            # Another database has taken over, which may not know of the last claims.
            session.ask_for_all()
        self._epoch = epoch
        if answer.get("restart"):
            session.restart()
        return None

    def _tell(self) -> None:
        held = len(self.session.attempts.held(self.session.worker_id))
        if monotonic() - self._told >= TELL_EVERY_S or (held == 0) != (self._told_held == 0):
            log.info("Heartbeat: worker %s holds %d jobs", self.session.worker_id, held)
            self._told, self._told_held = monotonic(), held
