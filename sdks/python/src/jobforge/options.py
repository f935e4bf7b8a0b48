"""How a job is to be run, as whoever enqueues it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar

from .codec import encode

if TYPE_CHECKING:
    from typing_extensions import Unpack

R = TypeVar("R")


@dataclass(frozen=True)
class RetryPolicy:
    """A back-off of the job's own: ``base``, then ``factor`` times the wait before, up to ``longest``.

    ``jitter`` is the share of the wait that is drawn at random: 0.2 means 80 % to 120 %.
    """

    base: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    longest: timedelta = timedelta(hours=1)
    jitter: float = 0.2


class JobOptions(TypedDict, total=False):
    """Everything but the type and the payload. What is left out is as the server has it."""

    queue: str
    tenant_id: str
    priority: int
    """Lower runs first."""
    max_attempts: int
    delay: timedelta
    run_at: datetime
    """With its time zone; not together with ``delay``."""
    timeout: timedelta
    """Bound on one attempt."""
    progress_timeout: timedelta
    """Bound on the time between two reports of progress."""
    idempotency_key: str
    """At most one job per tenant, type and key; it makes enqueuing safe to repeat."""
    tags: Sequence[str]
    retry: RetryPolicy
    traceparent: str


def millis(duration: timedelta) -> int:
    """Whole milliseconds, as everything that is sent has them."""
    return round(duration / timedelta(milliseconds=1))


class JobFilter(TypedDict, total=False):
    """Which jobs to list."""

    status: str | Sequence[str]
    type: str
    queue: str
    tenant_id: str
    tag: str
    idempotency_key: str
    worker: str
    before: str
    """``next`` of the page before."""
    limit: int
    """Jobs of one page, at most 500."""


@dataclass(frozen=True)
class NewJob(Generic[R]):
    """A job to be enqueued: the body of the request, and the type that its result will be read as."""

    body: dict[str, Any]
    result: Any = Any


def new_job(job_type: str, payload: Any = None, **options: Unpack[JobOptions]) -> NewJob[Any]:
    """A job of any type, for ``enqueue_many``; a task's ``request`` does the same with checked types."""
    return NewJob(job_request(job_type, payload, options))


def job_request(job_type: str, payload: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request to enqueue."""
    request: dict[str, Any] = {"type": job_type, "payload": {} if payload is None else encode(payload)}
    for name, value in options.items():
        key, written = _written(name, value)
        request[key] = written
    return request


def _written(name: str, value: Any) -> tuple[str, Any]:
    if name in ("delay", "timeout", "progress_timeout"):
        return f"{name}_ms", millis(value)
    if name == "run_at":
        if value.tzinfo is None:
            raise ValueError("run_at needs a time zone: datetime.now(timezone.utc) + …")
        return name, value.isoformat()
    if name == "retry":
        policy: RetryPolicy = value
        return name, {
            "base_ms": millis(policy.base),
            "factor": policy.factor,
            "max_ms": millis(policy.longest),
            "jitter": policy.jitter,
        }
    if name == "tags":
        return name, list(value)
    return name, value
