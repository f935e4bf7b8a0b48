"""Jobs as the server tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

ENDED = frozenset({"succeeded", "failed", "dead", "canceled"})


@dataclass(frozen=True)
class Progress:
    """How far a job has come, as its handler said last."""

    percent: int | None = None
    message: str | None = None
    phase: str | None = None


@dataclass(frozen=True)
class Items:
    """What an attempt has counted."""

    processed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class ErrorInfo:
    """Why an attempt failed."""

    message: str
    kind: str
    retryable: bool
    details: Any = None


@dataclass(frozen=True)
class JobInfo:
    """A job at the moment of the answer. ``raw`` is the whole answer, with what has no field here."""

    id: str
    type: str
    tenant_id: str
    queue: str
    status: str
    priority: int
    attempts: int
    max_attempts: int
    payload: Any
    result: Any
    progress: Progress
    items: Items
    error: ErrorInfo | None
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    idempotency_key: str | None
    tags: list[str]
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def ended(self) -> bool:
        """Whether it has come to its end, whichever."""
        return self.status in ENDED

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> JobInfo:
        """Reads a job from an answer."""
        progress, items, error = raw["progress"], raw["items"], raw["error"]
        return cls(
            id=raw["id"],
            type=raw["type"],
            tenant_id=raw["tenant_id"],
            queue=raw["queue"],
            status=raw["status"],
            priority=raw["priority"],
            attempts=raw["attempts"],
            max_attempts=raw["max_attempts"],
            payload=raw["payload"],
            result=raw.get("result"),
            progress=Progress(progress["percent"], progress["message"], progress["phase"]),
            items=Items(items["processed"], items["failed"], items["skipped"]),
            error=error and ErrorInfo(error["message"], error["kind"], error["retryable"], error.get("details")),
            created_at=moment(raw["created_at"]),
            run_at=moment(raw["run_at"]),
            started_at=raw["started_at"] and moment(raw["started_at"]),
            finished_at=raw["finished_at"] and moment(raw["finished_at"]),
            worker=raw["locked_by"],
            idempotency_key=raw["idempotency_key"],
            tags=raw["tags"],
            raw=raw,
        )


@dataclass(frozen=True)
class JobPage:
    """A page of a list; ``next`` is given as ``before`` for the next one, and absent on the last."""

    jobs: list[JobInfo]
    next: str | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> JobPage:
        """Reads a page from an answer."""
        return cls([JobInfo.of(job) for job in raw["jobs"]], raw.get("next"))


@dataclass(frozen=True)
class Receipt:
    """What became of a request to enqueue: the job's id, and whether it was made now or was there already."""

    id: str
    created: bool

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Receipt:
        """Reads a receipt from an answer."""
        return cls(raw["id"], raw["created"])


def moment(text: str) -> datetime:
    """Reads a time as the server writes it."""
    # Python 3.10 knows neither the Z nor fractions of other than 3 or 6 digits.
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}+00:00")
