"""What a handler knows of its attempt, and what it can say."""

from __future__ import annotations

import asyncio
import enum
import json
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from .codec import encode
from .errors import Stopped
from .http import body_of
from .reports import TEXT_BYTES, Reports, cut


class StopReason(enum.Enum):
    """Why a handler is asked to stop."""

    CANCELED = "canceled"
    """A person or program canceled the job."""
    LOST = "lost"
    """The job is no longer this worker's: another may run it already."""
    TIMEOUT = "timeout"
    """The attempt has used up its time."""
    NO_PROGRESS = "no_progress"
    """The handler has reported nothing for as long as it may."""
    SHUTDOWN = "shutdown"
    """The worker stops; the job is given back."""


@dataclass(frozen=True)
class StoredPayload:
    """What a payload is known by that is not in the answer to the claim."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class JobFacts:
    """The job of an attempt, as it was claimed."""

    id: str
    fence: int
    type: str
    queue: str = "default"
    tenant_id: str = "default"
    payload: Any = None
    payload_stored: StoredPayload | None = None
    """Present until the payload has been brought, where the server keeps it elsewhere."""
    attempt: int = 1
    max_attempts: int = 1
    priority: int = 0
    checkpoint: Any = None
    tags: tuple[str, ...] = ()
    traceparent: str | None = None
    timeout_s: float | None = None
    progress_timeout_s: float | None = None
    alone: bool = False

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> JobFacts:
        """Reads a job from the answer to a claim."""
        seconds = {
            key: None if raw.get(f"{key}_ms") is None else raw[f"{key}_ms"] / 1000
            for key in ("timeout", "progress_timeout")
        }
        stored = raw.get("payload_stored")
        return cls(
            id=raw["id"],
            fence=raw["fence"],
            type=raw["type"],
            queue=raw["queue"],
            tenant_id=raw["tenant_id"],
            payload=raw["payload"],
            payload_stored=None if stored is None else StoredPayload(stored["bytes"], stored["sha256"]),
            attempt=raw["attempt"],
            max_attempts=raw["max_attempts"],
            priority=raw["priority"],
            checkpoint=raw.get("checkpoint"),
            tags=tuple(raw.get("tags", ())),
            traceparent=raw.get("traceparent"),
            timeout_s=seconds["timeout"],
            progress_timeout_s=seconds["progress_timeout"],
            alone=raw.get("alone", False),
        )


class Context:
    """The first argument of every handler.

    What is reported is sent within a second. All methods may be called from any thread; in an async handler, awaiting a
    report also gives the event loop a turn, and is a point where the handler can be stopped.
    """

    def __init__(self, job: JobFacts, reports: Reports | None = None) -> None:
        self.job = job
        self.reports = reports or Reports()
        self._checkpoint = job.checkpoint
        self._stop = threading.Event()
        self._stop_reason: StopReason | None = None

    @property
    def checkpoint(self) -> Any:
        """What this attempt, or an earlier one, saved last; ``None`` if nothing."""
        return self._checkpoint

    @property
    def fence(self) -> int:
        """Grows with every claim of the job. Hand it to what the handler writes to, so that an older one is refused."""
        return self.job.fence

    def progress(
        self,
        percent: float | None = None,
        message: str | None = None,
        *,
        phase: str | None = None,
        checkpoint: Any = None,
    ) -> Turn:
        """Reports how far the work has come, 0 to 100, and what it is doing; what is left out is unchanged."""
        said: dict[str, Any] = {}
        if percent is not None:
            said["percent"] = max(0, min(100, int(percent)))
        if message is not None:
            said["message"] = cut(message, TEXT_BYTES)
        if phase is not None:
            said["phase"] = cut(phase, TEXT_BYTES)
        if checkpoint is not None:
            # What cannot be written fails here, where the handler can be told, and not in a thread later.
            said["checkpoint"] = self._checkpoint = json.loads(body_of(encode(checkpoint)))
        self.reports.say(**said)
        return Turn()

    def phase(self, name: str) -> Turn:
        """Names the phase of the work, such as ``downloading``."""
        return self.progress(phase=name)

    def save(self, checkpoint: Any) -> Turn:
        """Saves a point from which a later attempt can go on. It is stored with the next heartbeat or the result."""
        return self.progress(checkpoint=checkpoint)

    def items(self, processed: int = 0, failed: int = 0, skipped: int = 0) -> Turn:
        """Adds to the counts of work items."""
        self.reports.count(processed, failed, skipped)
        return Turn()

    def log(self, line: str) -> Turn:
        """Adds a line to the attempt's log; the newest 64 KiB are kept. That is no progress."""
        self.reports.log(line)
        return Turn()

    @property
    def cancelled(self) -> bool:
        """Whether the handler is asked to stop, for whatever reason; sync handlers look at this from time to time."""
        return self._stop.is_set()

    @property
    def stop_reason(self) -> StopReason | None:
        """Why the handler is asked to stop."""
        return self._stop_reason

    def raise_if_cancelled(self) -> None:
        """Raises :class:`jobforge.Stopped` if the handler is asked to stop; for sync handlers."""
        if self.cancelled:
            raise Stopped(self._stop_reason.value if self._stop_reason else "stopped")

    def sleep(self, seconds: float) -> None:
        """Waits in a sync handler, and raises :class:`jobforge.Stopped` as soon as it is asked to stop."""
        self._stop.wait(seconds)
        self.raise_if_cancelled()

    def ask_to_stop(self, reason: StopReason) -> bool:
        """Asks the handler to stop; says whether this is the first time. Tests may do so as well."""
        if self._stop_reason is not None:
            return False
        self._stop_reason = reason
        self._stop.set()
        return True


class Turn:
    """What a report gives back. Awaiting it gives the event loop a turn; nobody has to."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.sleep(0).__await__()
