"""What the environment says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_GRACE_S = 30.0
DEFAULT_SLOTS = 10
LARGEST = 86_400_000


@dataclass(frozen=True)
class Rhythm:
    """What the environment of a worker says about its rhythm; ``None`` is left to the server."""

    poll_interval_ms: int | None = None
    max_poll_interval_ms: int | None = None
    idle_backoff_multiplier: float | None = None
    heartbeat_interval_ms: int | None = None
    heartbeat_max_interval_ms: int | None = None
    heartbeat_backoff_multiplier: float | None = None


def url(given: str | None) -> str:
    """Where the server is: as given, or by ``JOBFORGE_URL``."""
    return (given or os.environ.get("JOBFORGE_URL") or DEFAULT_URL).rstrip("/")


def token(given: str | None) -> str | None:
    """Who asks: as given, or by ``JOBFORGE_TOKEN``."""
    return given or os.environ.get("JOBFORGE_TOKEN") or None


def queues() -> list[str] | None:
    """The queues that a worker takes from, by ``JOBFORGE_QUEUES``."""
    named = [name.strip() for name in os.environ.get("JOBFORGE_QUEUES", "").split(",")]
    return [name for name in named if name] or None


def slots(environment: Mapping[str, str] = os.environ) -> int:
    """How many jobs a worker runs at once, by ``JOBFORGE_SLOTS``."""
    given = _number(environment, "JOBFORGE_SLOTS", 1)
    return DEFAULT_SLOTS if given is None else int(given)


def worker_name() -> str | None:
    """The worker's label for people, by ``WORKER_NAME``."""
    return os.environ.get("WORKER_NAME") or None


def shutdown_grace_s(environment: Mapping[str, str] = os.environ) -> float:
    """How long running jobs may go on when a worker stops, by ``SHUTDOWN_GRACE_MS``."""
    given = _number(environment, "SHUTDOWN_GRACE_MS", 0)
    return DEFAULT_GRACE_S if given is None else given / 1000


def rhythm(environment: Mapping[str, str] = os.environ) -> Rhythm:
    """Reads ``POLL_INTERVAL_MS`` and its kin; raises :class:`ValueError` naming the variable that makes no sense."""

    def whole(name: str) -> int | None:
        number = _number(environment, name, 1)
        return None if number is None else int(number)

    return Rhythm(
        poll_interval_ms=whole("POLL_INTERVAL_MS"),
        max_poll_interval_ms=whole("MAX_POLL_INTERVAL_MS"),
        idle_backoff_multiplier=_number(environment, "IDLE_BACKOFF_MULTIPLIER", 1),
        heartbeat_interval_ms=whole("HEARTBEAT_INTERVAL_MS"),
        heartbeat_max_interval_ms=whole("HEARTBEAT_MAX_INTERVAL_MS"),
        heartbeat_backoff_multiplier=_number(environment, "HEARTBEAT_BACKOFF_MULTIPLIER", 1),
    )


def _number(environment: Mapping[str, str], name: str, least: float) -> float | None:
    text = environment.get(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    # What is not a number at all compares false.
    if least <= number <= LARGEST:
        return number
    raise ValueError(f"{name}={text!r} makes no sense: give a number from {least:g} to {LARGEST}")
