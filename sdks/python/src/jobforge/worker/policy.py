"""What a worker goes by, without clocks or sockets: when it asks, when it beats, and when it has to stop."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from ..settings import Rhythm

MARGIN_SHARE = 5
"""A worker stops its jobs this share of a lease before others may start them."""
RENEWALS_PER_LEASE = 4
TRIES_PER_LEASE = 20
"""Renewals that failed are tried again this often per lease."""
PATIENCE_S = 30.0
"""How long a busy worker lets a job wait that must run alone, before it makes room for it."""
MAKING_ROOM_S = 30.0


@dataclass(frozen=True)
class Backoff:
    """Waits that grow from ``first`` to ``longest``."""

    first: float
    longest: float
    factor: float = 2.0

    def after(self, last: float | None) -> float:
        """The wait after one of ``last``; ``None`` begins anew."""
        if last is None:
            return self.first
        return max(self.first, min(last * self.factor, self.longest))


@dataclass(frozen=True)
class BeatPolicy:
    """How often a running job gives a sign of life."""

    enabled: bool
    interval: float
    max_interval: float
    multiplier: float
    stale_after: float

    def next_interval(self, current: float) -> float:
        """The interval after the given one."""
        return max(self.interval, min(current * self.multiplier, self.max_interval))

    def due_in(self, interval: float) -> float:
        """How much silence a job that beats every ``interval`` is allowed: never less than two intervals."""
        return max(self.stale_after, 2 * interval)


@dataclass(frozen=True)
class Limits:
    """What one request may hold."""

    claim: int
    heartbeat: int
    results: int
    body_bytes: int


@dataclass(frozen=True)
class Terms:
    """What the server said at registration, with what the environment says in its place."""

    worker_id: str
    lease: float
    beat: BeatPolicy
    poll: Backoff
    hold: float
    """How long the server may hold a claim."""
    limits: Limits

    @classmethod
    def of(cls, answer: dict[str, Any], said: Rhythm) -> Terms:
        """Reads the answer to ``register``."""
        beat, poll, limits = answer["heartbeat"], answer["poll"], answer["limits"]
        interval = (said.heartbeat_interval_ms or beat["interval_ms"]) / 1000
        first = (said.poll_interval_ms or poll["interval_ms"]) / 1000
        return cls(
            worker_id=answer["worker_id"],
            lease=answer["lease_ms"] / 1000,
            beat=BeatPolicy(
                enabled=beat["enabled"],
                interval=interval,
                max_interval=max(interval, (said.heartbeat_max_interval_ms or beat["max_interval_ms"]) / 1000),
                multiplier=max(1.0, said.heartbeat_backoff_multiplier or beat["multiplier"]),
                stale_after=beat["stale_after_ms"] / 1000,
            ),
            poll=Backoff(
                first=first,
                longest=max(first, (said.max_poll_interval_ms or poll["max_interval_ms"]) / 1000),
                factor=max(1.0, said.idle_backoff_multiplier or poll["multiplier"]),
            ),
            hold=poll["wait_ms"] / 1000,
            limits=Limits(**{key: limits[key] for key in ("claim", "heartbeat", "results", "body_bytes")}),
        )


class Reliance:
    """How long a lease is counted on.

    A shorter one at once, and a longer one only after it has been given for as long as the one before lasted.
    """

    def __init__(self, lease: float) -> None:
        self.lease = lease
        self._longer: tuple[float, float] | None = None

    def given(self, lease: float, sent: float) -> None:
        """Takes note of the lease that a renewal gave which was sent at this moment."""
        if lease <= self.lease:
            self.lease, self._longer = lease, None
            return
        least, since = self._longer or (lease, sent)
        least = min(least, lease)
        if sent - since >= self.lease:
            self.lease, self._longer = least, (lease, sent) if lease > least else None
        else:
            self._longer = (least, since)


def acts_until(sent: float, lease: float) -> float:
    """Until when a worker may act whose last acknowledged renewal was sent at this moment."""
    return sent + lease * (1 - 1 / MARGIN_SHARE)


def renewal_pause(lease: float, *, failing: bool, calm: bool) -> float:
    """How long from sending one renewal to sending the next. A worker that holds nothing may renew half as often."""
    if failing:
        return lease / TRIES_PER_LEASE
    return lease / RENEWALS_PER_LEASE * (2 if calm else 1)


def attempt_ends(
    started: float, timeout: float | None, progressed: float, progress_timeout: float | None
) -> tuple[float | None, bool]:
    """When an attempt has to stop if nothing changes, and whether for want of progress."""
    timeout_at = None if timeout is None else started + timeout
    standstill_at = None if progress_timeout is None else max(started, progressed) + progress_timeout
    if standstill_at is not None and (timeout_at is None or standstill_at < timeout_at):
        return standstill_at, True
    return timeout_at, False


def rooms(free: int, queues: list[str], turn: int) -> dict[str, int]:
    """Shares free slots among queues, so that a claim never gives more than there is room for.

    Each queue gets the same; ``turn`` counts claims, and lets another queue have the rest each time.
    """
    first = turn % len(queues)
    rotated = queues[first:] + queues[:first]
    each, rest = divmod(free, len(queues))
    shares = {queue: each + (1 if n < rest else 0) for n, queue in enumerate(rotated)}
    return {queue: share for queue, share in shares.items() if share > 0}


class Turn(enum.Enum):
    """Whom a claim asks for."""

    COMPANY = "jobs that run beside others"
    ALONE = "the job that must run alone"
    MAKE_ROOM = "nobody, until what runs has ended"


def whose_turn(waited: float | None, held: int, worker_id: str) -> Turn:
    """Decides whose turn it is when a job has waited for so long to run alone; ``None`` is that none waits.

    A worker that runs nothing takes it at once. A busy one makes room for it after a while, and gives up again when its
    own jobs take too long. Workers do so at different times, so that not the whole fleet stands still for one job.
    """
    if waited is None:
        return Turn.COMPANY
    if held == 0:
        return Turn.ALONE
    spread = 0
    for byte in worker_id.encode():
        spread = (spread * 31 + byte) % 30_000
    patience = PATIENCE_S + spread / 1000
    return Turn.COMPANY if waited % (patience + MAKING_ROOM_S) < patience else Turn.MAKE_ROOM
