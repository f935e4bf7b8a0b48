"""What enqueuing gives: a job that can be asked about and waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .codec import decode
from .errors import JobCanceled, JobFailed, NotEnded
from .views import JobInfo, Receipt

if TYPE_CHECKING:
    from .client import AsyncClient, Client

R = TypeVar("R")

FIRST_LOOK_S = 0.05
LOOKS_GROW = 1.4
LONGEST_LOOK_S = 2.0


class _Ref(Generic[R]):
    def __init__(self, receipt: Receipt, result_type: Any) -> None:
        self.id = receipt.id
        self.created = receipt.created
        """Whether the job was made now; false when its idempotency key was known."""
        self._result_type = result_type

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def _result(self, job: JobInfo) -> R:
        if job.status == "succeeded":
            return cast(R, decode(self._result_type, job.result, strict=False))
        raise JobCanceled(job) if job.status == "canceled" else JobFailed(job)

    def _late(self, job: JobInfo, timeout: timedelta) -> NotEnded:
        return NotEnded(f"job {self.id} is still {job.status} after {timeout.total_seconds():g} s")


class JobRef(_Ref[R]):
    """A job, asked about from asyncio."""

    def __init__(self, client: AsyncClient, receipt: Receipt, result_type: Any = Any) -> None:
        super().__init__(receipt, result_type)
        self._client = client

    async def info(self) -> JobInfo:
        """What the job is now."""
        return await self._client.get(self.id)

    async def result(self, timeout: timedelta | None = None) -> R:
        """Waits until the job has ended, and gives what its handler returned.

        Raises :class:`JobFailed` when there is no result, and :class:`NotEnded` when ``timeout`` is over; the job goes
        on then.
        """
        for wait in _looks(timeout):
            job = await self.info()
            if job.ended:
                return self._result(job)
            if wait is None:
                break
            await asyncio.sleep(wait)
        raise self._late(job, timeout or timedelta())

    async def cancel(self, *, reason: str | None = None) -> JobInfo:
        """Cancels the job."""
        return await self._client.cancel(self.id, reason=reason)

    async def retry(self, *, reason: str | None = None) -> JobInfo:
        """Runs the job again after its end."""
        return await self._client.retry(self.id, reason=reason)


class SyncJobRef(_Ref[R]):
    """A job, asked about without asyncio."""

    def __init__(self, client: Client, receipt: Receipt, result_type: Any = Any) -> None:
        super().__init__(receipt, result_type)
        self._client = client

    def info(self) -> JobInfo:
        """What the job is now."""
        return self._client.get(self.id)

    def result(self, timeout: timedelta | None = None) -> R:
        """Waits until the job has ended, and gives what its handler returned; see :meth:`JobRef.result`."""
        for wait in _looks(timeout):
            job = self.info()
            if job.ended:
                return self._result(job)
            if wait is None:
                break
            time.sleep(wait)
        raise self._late(job, timeout or timedelta())

    def cancel(self, *, reason: str | None = None) -> JobInfo:
        """Cancels the job."""
        return self._client.cancel(self.id, reason=reason)

    def retry(self, *, reason: str | None = None) -> JobInfo:
        """Runs the job again after its end."""
        return self._client.retry(self.id, reason=reason)


def _looks(timeout: timedelta | None) -> Iterator[float | None]:
    """How long to wait after each look; ``None`` after the last."""
    ends = None if timeout is None else time.monotonic() + timeout.total_seconds()
    wait = FIRST_LOOK_S
    while True:
        left = wait if ends is None else ends - time.monotonic()
        if left <= 0:
            yield None
            return
        yield min(wait, left)
        wait = min(wait * LOOKS_GROW, LONGEST_LOOK_S)
