"""Clients of the HTTP API: :class:`AsyncClient` for asyncio and :class:`Client` for everything else."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import httpx2

from . import calls, settings
from .calls import Call
from .errors import JobForgeError
from .http import JSON_BODY, Address, answer_of, body_of, not_answered
from .options import JobFilter, JobOptions, NewJob, new_job
from .payloads import Gate, payload_sizes, portions
from .refs import JobRef, SyncJobRef
from .retrying import wait_before_again
from .views import JobInfo, JobPage

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

R = TypeVar("R")
T = TypeVar("T")


class Line(Protocol):
    """What a client sends its calls through; tests put a recorder in its place."""

    async def send(self, call: Call[T]) -> T:
        """Sends a call and reads its answer."""

    def send_sync(self, call: Call[T]) -> T:
        """The same without an event loop."""

    async def close(self) -> None:
        """Closes what ``send`` has opened."""

    def close_sync(self) -> None:
        """Closes what ``send_sync`` has opened."""


class HttpLine:
    """A line to a server; repeats what may be repeated."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._draw = random.Random()
        self._sync: httpx2.Client | None = None
        self._async: httpx2.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, call: Call[T]) -> T:
        """Sends a call and reads its answer."""
        tries = 0
        while True:
            try:
                try:
                    response = await self._open_async().send(self._request(self._open_async(), call))
                except httpx2.HTTPError as fault:
                    raise not_answered(self.address.url, fault) from fault
                return call.read(answer_of(response))
            except JobForgeError as fault:
                tries += 1
                wait = wait_before_again(fault, tries, repeatable=call.repeatable, draw=self._draw)
                if wait is None:
                    raise
            await asyncio.sleep(wait)

    def send_sync(self, call: Call[T]) -> T:
        """The same without an event loop."""
        tries = 0
        while True:
            try:
                try:
                    response = self._open_sync().send(self._request(self._open_sync(), call))
                except httpx2.HTTPError as fault:
                    raise not_answered(self.address.url, fault) from fault
                return call.read(answer_of(response))
            except JobForgeError as fault:
                tries += 1
                wait = wait_before_again(fault, tries, repeatable=call.repeatable, draw=self._draw)
                if wait is None:
                    raise
            time.sleep(wait)

    async def close(self) -> None:
        """Closes what ``send`` has opened."""
        if self._async is not None and self._loop is asyncio.get_running_loop():
            await self._async.aclose()
        self._async = self._loop = None

    def close_sync(self) -> None:
        """Closes what ``send_sync`` has opened."""
        if self._sync is not None:
            self._sync.close()
        self._sync = None

    def _open_async(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        # Connections belong to the loop they were made in: what another `asyncio.run` has left is of no use.
        if self._async is None or self._loop is not loop:
            self._async, self._loop = self.address.connect_async(), loop
        return self._async

    def _open_sync(self) -> httpx2.Client:
        if self._sync is None:
            self._sync = self.address.connect()
        return self._sync

    @staticmethod
    def _request(client: httpx2.Client | httpx2.AsyncClient, call: Call[Any]) -> httpx2.Request:
        headers = {} if call.reason is None else {"X-Reason": call.reason}
        if call.body is None:
            return client.build_request(call.method, call.path, params=call.query, headers=headers)
        return client.build_request(
            call.method, call.path, params=call.query, headers={**headers, **JSON_BODY}, content=body_of(call.body)
        )


class AsyncClient:
    """Asks a server to do things with jobs, from asyncio.

    ``url`` and ``token`` are by default those of ``JOBFORGE_URL`` and ``JOBFORGE_TOKEN``. Safe calls are repeated when
    the server is away for a moment; enqueuing is safe with an ``idempotency_key``.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, line: Line | None = None) -> None:
        self._line = line or HttpLine(Address(settings.url(url), settings.token(token)))
        self._gate = Gate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. The client opens new ones if it is used again."""
        await self._line.close()

    async def enqueue(self, job_type: str, payload: Any = None, **options: Unpack[JobOptions]) -> JobRef[Any]:
        """Enqueues a job of any type; tasks do the same with checked types."""
        return await self.send(new_job(job_type, payload, **options))

    async def send(self, job: NewJob[R]) -> JobRef[R]:
        """Enqueues a job that was made before, as :func:`jobforge.new_job` and a task's ``request`` do."""
        await self._checked([job.body])
        return JobRef(self, await self._line.send(calls.enqueue(job.body)), job.result)

    async def enqueue_many(self, jobs: Sequence[NewJob[R]]) -> list[JobRef[R]]:
        """Enqueues up to a thousand jobs, or 4 MiB of them, at a time; those of one call all or none."""
        refs: list[JobRef[R]] = []
        sizes = await self._checked([job.body for job in jobs])
        for portion in portions(sizes, calls.MANY):
            some = jobs[portion]
            if len(some) == 1:
                refs.append(JobRef(self, await self._line.send(calls.enqueue(some[0].body)), some[0].result))
                continue
            receipts = await self._line.send(calls.enqueue_many([job.body for job in some]))
            refs += [JobRef(self, receipt, job.result) for receipt, job in zip(receipts, some, strict=True)]
        return refs

    async def _checked(self, bodies: Sequence[dict[str, Any]]) -> list[int]:
        """The sizes of the payloads, none of which is too large."""
        sizes = payload_sizes(bodies)
        if self._gate.needs_limits(sizes):
            self._gate.learned(await self._line.send(calls.limits()))
        self._gate.check(bodies, sizes)
        return sizes

    async def get(self, job_id: str) -> JobInfo:
        """Tells of a job, with its result."""
        return await self._line.send(calls.get(job_id))

    async def page(self, **filters: Unpack[JobFilter]) -> JobPage:
        """One page of jobs, newest first."""
        return await self._line.send(calls.page(filters))

    async def jobs(self, **filters: Unpack[JobFilter]) -> AsyncIterator[JobInfo]:
        """All jobs that :meth:`page` would give, page by page."""
        while True:
            page = await self.page(**filters)
            for job in page.jobs:
                yield job
            if page.next is None:
                return
            filters["before"] = page.next

    async def cancel(self, job_id: str, *, reason: str | None = None) -> JobInfo:
        """Cancels a job that waits or runs."""
        return await self._line.send(calls.cancel(job_id, reason))

    async def retry(self, job_id: str, *, reason: str | None = None) -> JobInfo:
        """Runs an ended job again."""
        return await self._line.send(calls.retry(job_id, reason))


class Client:
    """The same as :class:`AsyncClient`, without asyncio. Threads may share one."""

    def __init__(self, url: str | None = None, token: str | None = None, *, line: Line | None = None) -> None:
        self._line = line or HttpLine(Address(settings.url(url), settings.token(token)))
        self._gate = Gate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. The client opens new ones if it is used again."""
        self._line.close_sync()

    def enqueue(self, job_type: str, payload: Any = None, **options: Unpack[JobOptions]) -> SyncJobRef[Any]:
        """Enqueues a job of any type; tasks do the same with checked types."""
        return self.send(new_job(job_type, payload, **options))

    def send(self, job: NewJob[R]) -> SyncJobRef[R]:
        """Enqueues a job that was made before, as :func:`jobforge.new_job` and a task's ``request`` do."""
        self._checked([job.body])
        return SyncJobRef(self, self._line.send_sync(calls.enqueue(job.body)), job.result)

    def enqueue_many(self, jobs: Sequence[NewJob[R]]) -> list[SyncJobRef[R]]:
        """Enqueues up to a thousand jobs, or 4 MiB of them, at a time; those of one call all or none."""
        refs: list[SyncJobRef[R]] = []
        sizes = self._checked([job.body for job in jobs])
        for portion in portions(sizes, calls.MANY):
            some = jobs[portion]
            if len(some) == 1:
                refs.append(SyncJobRef(self, self._line.send_sync(calls.enqueue(some[0].body)), some[0].result))
                continue
            receipts = self._line.send_sync(calls.enqueue_many([job.body for job in some]))
            refs += [SyncJobRef(self, receipt, job.result) for receipt, job in zip(receipts, some, strict=True)]
        return refs

    def _checked(self, bodies: Sequence[dict[str, Any]]) -> list[int]:
        """The sizes of the payloads, none of which is too large."""
        sizes = payload_sizes(bodies)
        if self._gate.needs_limits(sizes):
            self._gate.learned(self._line.send_sync(calls.limits()))
        self._gate.check(bodies, sizes)
        return sizes

    def get(self, job_id: str) -> JobInfo:
        """Tells of a job, with its result."""
        return self._line.send_sync(calls.get(job_id))

    def page(self, **filters: Unpack[JobFilter]) -> JobPage:
        """One page of jobs, newest first."""
        return self._line.send_sync(calls.page(filters))

    def jobs(self, **filters: Unpack[JobFilter]) -> Iterator[JobInfo]:
        """All jobs that :meth:`page` would give, page by page."""
        while True:
            page = self.page(**filters)
            yield from page.jobs
            if page.next is None:
                return
            filters["before"] = page.next

    def cancel(self, job_id: str, *, reason: str | None = None) -> JobInfo:
        """Cancels a job that waits or runs."""
        return self._line.send_sync(calls.cancel(job_id, reason))

    def retry(self, job_id: str, *, reason: str | None = None) -> JobInfo:
        """Runs an ended job again."""
        return self._line.send_sync(calls.retry(job_id, reason))
