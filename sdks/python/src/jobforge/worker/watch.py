"""A thread that only looks: whether the lease has run out, and whether the event loop still turns."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path

from ..clock import monotonic
from .attempts import Attempt
from .session import Session, SessionThread

log = logging.getLogger("jobforge")

LOOK_EVERY_S = 0.5
BLOCKED_AFTER_S = 2.0
"""A loop that has not turned for so long is blocked."""


class Watch(SessionThread):
    """Never waits for anybody, so that it is in time."""

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__("watch", session)
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._asked: float | None = None
        self._blocked: list[Attempt] | None = None

    def work(self) -> None:
        """Looks until the incarnation closes."""
        session = self.session
        while not session.closing.wait(LOOK_EVERY_S):
            if monotonic() >= session.acts_until:
                session.lose("it could not renew in time")
            try:
                self._look_at_loop()
            except RuntimeError:
                # The loop was closed without this worker having been stopped.
                return

    def _look_at_loop(self) -> None:
        asked = self._asked
        if asked is None:
            self._asked = monotonic()
            self._loop.call_soon_threadsafe(self._turned)
        elif monotonic() - asked > BLOCKED_AFTER_S and self._blocked is None:
            self._blocked = [attempt for attempt in self.session.attempts.running() if attempt.in_loop]
            message = f"event loop blocked since {_clock_time(monotonic() - asked)}, at {self._where()}"
            log.warning("%s; heartbeats go on, and nothing else can be done until it turns again", message)
            for attempt in self._blocked:
                attempt.ctx.reports.remark(message)
            self.session.beat_soon.set()

    def _turned(self) -> None:
        """Called by the loop when it turns."""
        asked, self._asked = self._asked, None
        if self._blocked is None or asked is None:
            return
        took = monotonic() - asked
        for attempt in self._blocked:
            said = attempt.ctx.reports.latest.get("message")
            attempt.ctx.reports.remark(said or f"event loop was blocked for {took:.0f} s")
        log.warning("event loop was blocked for %.0f s", took)
        self._blocked = None

    def _where(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return "a place that is not known"
        code = frame.f_code
        return f"{Path(code.co_filename).name}:{frame.f_lineno} in {code.co_name}"


def _clock_time(seconds_ago: float) -> str:
    moment = datetime.now(timezone.utc).timestamp() - seconds_ago
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%H:%M:%S UTC")
