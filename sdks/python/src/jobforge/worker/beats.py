"""Heartbeats of jobs: signs of life in their rhythm, and what handlers report, soon after they said it."""

from __future__ import annotations

import logging
from typing import Any

from ..clock import monotonic
from ..context import StopReason
from ..errors import JobForgeError, Refused
from ..http import Address, body_of
from .attempts import Attempt
from .line import ThreadLine
from .policy import BeatPolicy
from .session import Session, SessionThread

log = logging.getLogger("jobforge")

REPORT_EVERY_S = 1.0
"""Progress is seen by others after at most this time."""
SOONEST_S = 0.1
"""Between two requests, however much there is to say."""
STOP_TIME_S = 5.0
"""A handler that goes on for longer than this after it was asked to stop is ignoring that."""

MAKES_NO_SENSE = frozenset({400, 413, 422})

_STOP = {"canceled": StopReason.CANCELED, "lost": StopReason.LOST, "gone": StopReason.LOST}


class Beats(SessionThread):
    """Sends the heartbeats of one incarnation's jobs until it closes."""

    def __init__(self, address: Address, session: Session) -> None:
        super().__init__("heartbeats", session)
        self._address = address

    def work(self) -> None:
        """Looks once a second for what is to be said, or at once when it was asked to."""
        session = self.session
        with ThreadLine(self._address) as line:
            while not session.closing.is_set():
                everything, session.beat_all = session.beat_all, False
                held = session.attempts.held(session.worker_id)
                now = monotonic()
                due = [attempt for attempt in held if everything or is_due(attempt, now, session.terms.beat)]
                for some in portions(
                    [(attempt, beat_of(attempt, now, session.terms.beat)) for attempt in due], session
                ):
                    self._send(line, some)
                session.beat_soon.wait(self._pause(held))
                session.beat_soon.clear()

    def _pause(self, held: list[Attempt]) -> float:
        if not self.session.terms.beat.enabled:
            return REPORT_EVERY_S
        left = min((attempt.next_beat for attempt in held), default=float("inf")) - monotonic()
        return max(SOONEST_S, min(REPORT_EVERY_S, left))

    def _send(self, line: ThreadLine, beats: list[tuple[Attempt, dict[str, Any]]]) -> None:
        session = self.session
        body = {"worker_id": session.worker_id, "jobs": [beat for _, beat in beats]}
        try:
            answers = line.post("heartbeat", body)["jobs"]
        except Refused as fault:
            if fault.status in MAKES_NO_SENSE and any("report" in beat for _, beat in beats):
                return self._send_apart(line, beats, fault)
            return self._again(beats, fault)
        except JobForgeError as fault:
            return self._again(beats, fault)
        for (attempt, _), answer in zip(beats, answers, strict=True):
            attempt.ctx.reports.heard()
            reason = _STOP.get(answer["state"])
            if reason is not None and attempt.runs:
                attempt.ask_to_stop(reason)
        return None

    def _again(self, beats: list[tuple[Attempt, dict[str, Any]]], fault: JobForgeError) -> None:
        log.warning("Heartbeat of %d jobs failed; trying again: %s", len(beats), fault)
        for attempt, _ in beats:
            # Not only after another interval: by then it would be late.
            attempt.next_beat = monotonic() + REPORT_EVERY_S

    def _send_apart(self, line: ThreadLine, beats: list[tuple[Attempt, dict[str, Any]]], fault: Refused) -> None:
        """One report makes no sense, such as a checkpoint of 200 levels, and all were refused: finds it."""
        if len(beats) > 1:
            middle = len(beats) // 2
            self._send(line, beats[:middle])
            return self._send(line, beats[middle:])
        attempt, beat = beats[0]
        log.error("what job %s reported was refused, and is left out: %s", attempt.job.id, fault)
        return self._send(line, [(attempt, {key: value for key, value in beat.items() if key != "report"})])


def is_due(attempt: Attempt, now: float, policy: BeatPolicy) -> bool:
    """Whether there is something to say of an attempt."""
    rhythm = policy.enabled and now >= attempt.next_beat
    # What a handler says last goes with its result.
    news = attempt.runs and attempt.ctx.reports.has_news
    return rhythm or news or ignores_stop(attempt, now)


def ignores_stop(attempt: Attempt, now: float) -> bool:
    """Whether its handler goes on although it was asked to stop, and nobody was told."""
    asked = attempt.stop_asked_at
    return attempt.runs and not attempt.told_ignoring and asked is not None and now - asked > STOP_TIME_S


def beat_of(attempt: Attempt, now: float, policy: BeatPolicy) -> dict[str, Any]:
    """What is said of an attempt. Whatever it is counts as a sign of life, so the next is due an interval from now."""
    if now >= attempt.next_beat > 0:
        attempt.beat_interval = policy.next_interval(attempt.beat_interval)
    attempt.next_beat = now + attempt.beat_interval
    beat: dict[str, Any] = {
        "id": attempt.job.id,
        "fence": attempt.job.fence,
        "due_in_ms": round(policy.due_in(attempt.beat_interval) * 1000),
    }
    if policy.enabled:
        beat["interval_ms"] = round(attempt.beat_interval * 1000)
    report = attempt.ctx.reports.take() if attempt.runs else None
    if ignores_stop(attempt, now):
        attempt.told_ignoring = True
        log.warning("the handler of job %s ignores that it was asked to stop", attempt.job.id)
        report = {**(report or {}), "ignores_stop": True}
    return beat if report is None else {**beat, "report": report}


def portions(
    beats: list[tuple[Attempt, dict[str, Any]]], session: Session
) -> list[list[tuple[Attempt, dict[str, Any]]]]:
    """Beats in portions that fit into one request each."""
    limits = session.terms.limits
    found: list[list[tuple[Attempt, dict[str, Any]]]] = []
    room = 0
    for attempt, beat in beats:
        size = len(body_of(beat))
        if not found or len(found[-1]) == limits.heartbeat or size > room:
            found.append([])
            room = limits.body_bytes // 2
        found[-1].append((attempt, beat))
        room -= size
    return found
