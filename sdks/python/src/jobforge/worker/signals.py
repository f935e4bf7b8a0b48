"""Listening to what the server tells without being asked: that there is work, that a job was moved."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import httpx2

from ..errors import JobForgeError
from ..http import Address, answer_of, not_answered
from .line import ThreadLine
from .policy import Backoff
from .session import Session, SessionThread

log = logging.getLogger("jobforge")

SILENCE_S = 15.0
"""The server says something every 5 s; a stream that is silent for longer is broken."""
RECONNECT = Backoff(0.05, 1.0)
REFUSED_WAIT_S = 30.0


class Signals(SessionThread):
    """Keeps a stream of signals open. They are hints: without them claims are held, and heartbeats tell of the rest."""

    def __init__(self, address: Address, session: Session, work: Callable[[], None]) -> None:
        super().__init__("signals", session)
        self._address = address
        self._work = work

    def work(self) -> None:
        """Listens until the incarnation closes, and again whenever the stream breaks."""
        session = self.session
        wait: float | None = None
        while not session.closing.is_set() and not session.lost:
            try:
                with ThreadLine(self._address) as line:
                    if self._listen(line):
                        wait = None
                wait = RECONNECT.after(wait)
            except JobForgeError as fault:
                log.debug("no signals, so claims are held instead: %s", fault)
                wait = REFUSED_WAIT_S
            except RuntimeError:
                # The loop was closed without this worker having been stopped.
                return
            finally:
                session.signals_live = False
            session.closing.wait(wait)

    def _listen(self, line: ThreadLine) -> bool:
        """Says whether there was a stream."""
        session = self.session
        try:
            with line.http.stream(
                "GET", "/v1/worker/signals", params={"worker_id": session.worker_id}, timeout=SILENCE_S
            ) as response:
                if not response.is_success:
                    response.read()
                    answer_of(response)
                for text in response.iter_lines():
                    if session.closing.is_set():
                        return True
                    session.signals_live = True
                    if text.startswith("data:"):
                        self._heed(json.loads(text[5:]))
        except httpx2.HTTPError as fault:
            log.debug("signals: %s", not_answered(self._address.url, fault))
        return session.signals_live

    def _heed(self, signal: dict[str, Any]) -> None:
        word = signal.get("signal")
        if word == "look":
            self.session.ask_for_all()
            self.session.renew_soon.set()
            self._work()
        elif word == "work":
            self._work()
        elif word == "renew":
            self.session.renew_soon.set()
        elif word == "moved":
            self.session.moved(signal["id"])
