"""What can go wrong, and how a handler says how its attempt ended."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .views import JobInfo


class JobForgeError(Exception):
    """Everything that this library raises is one of these."""


class NotAnswered(JobForgeError):
    """The server could not be reached, or broke off before it had answered.

    ``sent`` says whether the request may have taken effect.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Refused(JobForgeError):
    """The server answered with a problem document.

    ``code`` is its stable word, ``request_id`` finds the request in the server's log, and ``errors`` lists single
    faults, each with a JSON pointer. ``existing`` names what is there already where the request conflicts with it.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        request_id: str | None = None,
        errors: list[dict[str, Any]] | None = None,
        existing: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        named = f" [request {request_id}]" if request_id else ""
        super().__init__(f"{status} {code}: {detail}{named}")
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.errors = errors or []
        self.existing = existing
        self.retry_after = retry_after


class NotEnded(JobForgeError, TimeoutError):
    """The job had not ended when the time for waiting was over."""


class JobFailed(JobForgeError):
    """The job that was waited for ended without a result; ``job`` says how, ``kind`` and ``message`` why."""

    def __init__(self, job: JobInfo) -> None:
        self.job = job
        self.kind = job.error.kind if job.error else job.status
        self.message = job.error.message if job.error else "it left no reason"
        super().__init__(f"job {job.id} is {job.status}: {self.message} [{self.kind}]")


class JobCanceled(JobFailed):
    """The job that was waited for was canceled."""


class InvalidPayload(JobForgeError, ValueError):
    """A value does not fit the type that is asked for; the text names the field."""


class PayloadTooLarge(JobForgeError, ValueError):
    """The payload is too large to be enqueued; nothing was sent. ``bytes`` is its size as JSON."""

    def __init__(self, job_type: str, size: int, most: int) -> None:
        super().__init__(
            f"the payload of {job_type} has {size} bytes; at most {most} are sent. Put the data elsewhere, such as "
            'object storage, and enqueue a reference to it: {"data_ref": "s3://bucket/key"}; or let the server keep '
            "large payloads (its setting payload_store)"
        )
        self.bytes = size


class Outcome(Exception):
    """How a handler says that its attempt ended otherwise than with a result."""

    def __init__(self, message: str, *, kind: str, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.details = details


class Retry(Outcome):
    """The attempt failed and another may succeed; ``after`` replaces the job's own back-off."""

    def __init__(
        self,
        message: str = "the handler asked for another attempt",
        *,
        after: timedelta | None = None,
        kind: str = "retry",
        details: Any = None,
    ) -> None:
        super().__init__(message, kind=kind, details=details)
        self.after = after


class Failed(Outcome):
    """The attempt failed, and no other would succeed: the job ends as ``failed``."""

    def __init__(self, message: str, *, kind: str = "failed", details: Any = None) -> None:
        super().__init__(message, kind=kind, details=details)


class Dead(Outcome):
    """The job belongs to the dead letters, whatever attempts are left: somebody should look at it."""

    def __init__(self, message: str, *, kind: str = "dead", details: Any = None) -> None:
        super().__init__(message, kind=kind, details=details)


class Snooze(Outcome):
    """The job wants to run later; that costs no attempt."""

    def __init__(self, after: timedelta) -> None:
        super().__init__(f"snoozed for {after}", kind="snoozed")
        self.after = after


class Stopped(Exception):
    """The handler was asked to stop and does: raised by ``Context.raise_if_cancelled`` in sync handlers."""
