"""How large payloads may be, and how jobs are divided among calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .clock import monotonic
from .errors import PayloadTooLarge
from .http import body_of

INLINE_BYTES = 100 * 1024
"""Larger payloads make a queue slow for everybody: they are refused, unless the server keeps them elsewhere."""
KNOWN_S = 60.0
"""How long an answer of the server about its limits is believed."""
CALL_BYTES = 4 * 1024 * 1024
"""Most bytes of jobs in one call, well below what a server reads."""


@dataclass(frozen=True)
class Limits:
    """What a server takes."""

    payload_bytes: int
    payload_store: bool

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Limits:
        """Reads them from an answer."""
        return cls(raw["payload_bytes"], raw["payload_store"])

    @property
    def most(self) -> int:
        """The largest payload that may be sent."""
        return self.payload_bytes if self.payload_store else INLINE_BYTES


class Gate:
    """Lets payloads through that are not too large. What the server takes is asked only when one is large."""

    def __init__(self) -> None:
        self._known: tuple[Limits, float] | None = None

    def needs_limits(self, sizes: Sequence[int]) -> bool:
        """Whether the server is to be asked what it takes."""
        stale = self._known is None or monotonic() - self._known[1] > KNOWN_S
        return stale and max(sizes, default=0) > INLINE_BYTES

    def learned(self, limits: Limits) -> None:
        """Takes note of what the server has answered."""
        self._known = (limits, monotonic())

    def check(self, jobs: Sequence[Mapping[str, Any]], sizes: Sequence[int]) -> None:
        """Raises :class:`jobforge.PayloadTooLarge` for the first payload that is."""
        most = INLINE_BYTES if self._known is None else self._known[0].most
        for job, size in zip(jobs, sizes, strict=True):
            if size > most:
                raise PayloadTooLarge(job.get("type", ""), size, most)


def payload_sizes(jobs: Sequence[Mapping[str, Any]]) -> list[int]:
    """The sizes of the payloads as they are sent."""
    return [len(body_of(job.get("payload"))) for job in jobs]


def portions(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """Divides jobs with payloads of these sizes: each portion fits into a call, unless a single job does not."""
    start = held = 0
    for index, size in enumerate(sizes):
        if index > start and (index - start == most or held + size > CALL_BYTES):
            yield slice(start, index)
            start, held = index, 0
        held += size
    if start < len(sizes):
        yield slice(start, len(sizes))
