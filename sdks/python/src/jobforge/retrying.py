"""When to send a call again, and how long to wait before."""

from __future__ import annotations

import random

from .errors import JobForgeError, NotAnswered, Refused

TRIES = 8
"""In ten seconds a server has restarted."""
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
LONGEST_ASKED_S = 30.0
"""The longest wait that a server may ask for."""

_NOTHING_CHANGED = frozenset(
    {"rate_limited", "database_unreachable", "database_read_only", "storage_full", "draining", "too_many_failures"}
)
_MAY_PASS = frozenset({408, 429, 502, 503, 504, 507})


def wait_before_again(fault: JobForgeError, tries: int, *, repeatable: bool, draw: random.Random) -> float | None:
    """How long to wait before sending a call again that has failed so many times; ``None`` is not again.

    What surely was not done is repeated always, and what may have been done only if doing it twice is as good as once.
    """
    if tries >= TRIES or not _may_again(fault, repeatable):
        return None
    asked = fault.retry_after if isinstance(fault, Refused) else None
    if asked is not None:
        return min(asked, LONGEST_ASKED_S) + draw.uniform(0, FIRST_WAIT_S)
    return float(min(FIRST_WAIT_S * 2 ** (tries - 1), LONGEST_WAIT_S) * draw.uniform(0.8, 1.2))


def _may_again(fault: JobForgeError, repeatable: bool) -> bool:
    if isinstance(fault, NotAnswered):
        return repeatable or not fault.sent
    if isinstance(fault, Refused):
        return fault.code in _NOTHING_CHANGED or (repeatable and fault.status in _MAY_PASS)
    return False
