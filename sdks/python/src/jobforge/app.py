"""The application: where tasks are declared, jobs enqueued and handlers run."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from . import settings
from .client import AsyncClient, Client, HttpLine, Line
from .context import Context
from .http import Address
from .options import JobOptions, NewJob
from .refs import JobRef, SyncJobRef
from .task import Task
from .worker import Ended, Worker, WorkerConfig

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_QUEUE = "default"


class TaskDecorator(Protocol):
    """Turns a handler into a task with the same arguments and the same result."""

    @overload
    def __call__(self, handler: Callable[Concatenate[Context, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...

    @overload
    def __call__(self, handler: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...


class JobForge:
    """An application with its tasks.

    ``url`` and ``token`` are by default those of ``JOBFORGE_URL`` and ``JOBFORGE_TOKEN``. The URL may also be that of a
    server's Unix socket, ``unix:/path/to/jobforge.sock``, which needs no token. Nothing is connected before it is
    needed.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self.address = Address(settings.url(url), settings.token(token))
        self.tasks: dict[str, Task[Any, Any]] = {}
        self._use(HttpLine(self.address))

    def _use(self, line: Line) -> None:
        self._line = line
        self.client = AsyncClient(line=line)
        """For everything that is not of one task: ``get``, ``jobs``, ``cancel`` …"""
        self.sync_client = Client(line=line)
        """The same without asyncio."""

    @contextmanager
    def through(self, line: Line) -> Iterator[None]:
        """Sends everything through another line meanwhile; for tests."""
        before = self._line
        self._use(line)
        try:
            yield
        finally:
            self._use(before)

    @contextmanager
    def at(self, url: str, token: str | None = None) -> Iterator[None]:
        """Uses another server meanwhile; for tests."""
        before, self.address = self.address, Address(url, token)
        try:
            with self.through(HttpLine(self.address)):
                yield
        finally:
            self.address = before

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections. New ones are opened if the application is used again."""
        await self.client.close()
        self.sync_client.close()

    def task(self, name: str, **options: Unpack[JobOptions]) -> TaskDecorator:
        """Declares that a function handles jobs of this type.

        Its first parameter is a :class:`Context`; the others are the payload, either by their names or, if the only one
        is a dataclass, a TypedDict, a pydantic model or :data:`jobforge.Payload`, as a whole. ``options`` are those of
        jobs that are enqueued through the task, unless ``task.options(…)`` says otherwise.
        """

        def decorate(handler: Callable[..., Any], /) -> Task[Any, Any]:
            if name in self.tasks:
                raise ValueError(f"there are two handlers of type {name!r}")
            task: Task[Any, Any] = Task(self, name, handler, options)
            self.tasks[name] = task
            return task

        return decorate

    async def send(self, job: NewJob[R]) -> JobRef[R]:
        """Enqueues one job, as a task's ``request`` made it."""
        return await self.client.send(job)

    def send_sync(self, job: NewJob[R]) -> SyncJobRef[R]:
        """The same without an event loop."""
        return self.sync_client.send(job)

    async def enqueue_many(self, jobs: Sequence[NewJob[R]]) -> list[JobRef[R]]:
        """Enqueues up to a thousand jobs at a time, each thousand all or none."""
        return await self.client.enqueue_many(jobs)

    def enqueue_many_sync(self, jobs: Sequence[NewJob[R]]) -> list[SyncJobRef[R]]:
        """The same without an event loop."""
        return self.sync_client.enqueue_many(jobs)

    def queues(self) -> tuple[str, ...]:
        """The queues that the tasks' jobs are enqueued in."""
        named = [task._options.get("queue", DEFAULT_QUEUE) for task in self.tasks.values()]
        return tuple(dict.fromkeys(named)) or (DEFAULT_QUEUE,)

    def worker(
        self,
        *,
        queues: Iterable[str] | None = None,
        concurrency: int | None = None,
        grace: timedelta | None = None,
        name: str | None = None,
        ends_to_restart: bool = False,
    ) -> Worker:
        """A worker for the tasks of this application, from all their queues unless some are named."""
        config = WorkerConfig(
            queues=tuple(queues or settings.queues() or self.queues()),
            concurrency=settings.slots() if concurrency is None else concurrency,
            grace_s=settings.shutdown_grace_s() if grace is None else grace.total_seconds(),
            name=name or settings.worker_name(),
            rhythm=settings.rhythm(),
            ends_to_restart=ends_to_restart,
        )
        return Worker(self.address, self.tasks, config)

    async def work(
        self,
        *,
        queues: Iterable[str] | None = None,
        concurrency: int | None = None,
        grace: timedelta | None = None,
        name: str | None = None,
    ) -> None:
        """Works until SIGTERM or SIGINT, and returns when the worker has stopped in good order.

        Then nothing new is taken, what runs gets ``grace`` to finish, and the rest is given back. A second signal ends
        the grace.
        """
        await run_until_signal(self.worker(queues=queues, concurrency=concurrency, grace=grace, name=name))


async def run_until_signal(worker: Worker) -> Ended:
    """Runs a worker until it ends, which SIGTERM and SIGINT ask it to."""
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        worker.stop(at_once=asked > 1)

    loop = asyncio.get_running_loop()
    # Only the main thread may, and Windows has none of it: there an interrupt ends the program.
    can = threading.current_thread() is threading.main_thread() and sys.platform != "win32"
    signals = [signal.SIGTERM, signal.SIGINT] if can else []
    for each in signals:
        loop.add_signal_handler(each, ask)
    try:
        return await worker.run()
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
