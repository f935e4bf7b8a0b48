"""The calls of the HTTP API, without the sending: what is asked, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from .payloads import Limits
from .views import JobInfo, JobPage, Receipt

T = TypeVar("T")

MANY = 1000
"""Most jobs of one call."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. ``repeatable`` says that sending it twice is as good as once."""

    method: str
    path: str
    read: Callable[[Any], T]
    repeatable: bool
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    reason: str | None = None
    """Why, for the audit log."""


def enqueue(request: dict[str, Any]) -> Call[Receipt]:
    """Makes one job, or finds the one that has its idempotency key."""
    return Call("POST", "/v1/jobs", Receipt.of, repeatable="idempotency_key" in request, body=request)


def enqueue_many(requests: Sequence[dict[str, Any]]) -> Call[list[Receipt]]:
    """Makes up to :data:`MANY` jobs, all or none."""

    def read(answer: Any) -> list[Receipt]:
        return [Receipt.of(job) for job in answer["jobs"]]

    keyed = all("idempotency_key" in request for request in requests)
    return Call("POST", "/v1/jobs/many", read, repeatable=keyed, body={"jobs": list(requests)})


def limits() -> Call[Limits]:
    """Tells what the server takes."""
    return Call("GET", "/v1/limits", Limits.of, repeatable=True)


def get(job_id: str) -> Call[JobInfo]:
    """Tells of one job."""
    return Call("GET", _path(job_id), JobInfo.of, repeatable=True)


def page(filters: Mapping[str, Any]) -> Call[JobPage]:
    """Tells of jobs, newest first."""
    query = {name: _filter(value) for name, value in filters.items()}
    return Call("GET", "/v1/jobs", JobPage.of, repeatable=True, query=query)


def cancel(job_id: str, reason: str | None) -> Call[JobInfo]:
    """Cancels a job; canceling it again changes nothing."""
    return Call("POST", _path(job_id, "cancel"), JobInfo.of, repeatable=True, reason=reason)


def retry(job_id: str, reason: str | None) -> Call[JobInfo]:
    """Runs an ended job again."""
    return Call("POST", _path(job_id, "retry"), JobInfo.of, repeatable=False, reason=reason)


def _path(job_id: str, *rest: str) -> str:
    return "/".join(["/v1/jobs", quote(job_id, safe=""), *rest])


def _filter(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(value)
    return str(value)
