"""A task: a handler with a name, whose jobs are enqueued with checked types."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast

from .codec import decode, encode, hints_of, is_model
from .context import Context
from .errors import InvalidPayload
from .options import JobOptions, NewJob, job_request
from .refs import JobRef, SyncJobRef

if TYPE_CHECKING:
    from typing_extensions import Unpack

P = ParamSpec("P")
R = TypeVar("R")
Handler = Callable[Concatenate[Context, P], Any]


class Sender(Protocol):
    """What enqueues the jobs of a task: the application that it belongs to."""

    async def send(self, job: NewJob[R]) -> JobRef[R]:
        """Enqueues one job."""

    def send_sync(self, job: NewJob[R]) -> SyncJobRef[R]:
        """The same without an event loop."""


class Task(Generic[P, R]):
    """A handler, and the type of job that it runs. Made by :meth:`jobforge.JobForge.task`."""

    def __init__(self, sender: Sender, name: str, handler: Handler[P], options: JobOptions) -> None:
        self.name = name
        self.handler = handler
        self.is_async = inspect.iscoroutinefunction(handler)
        self._sender = sender
        self._options = options
        self._shape = PayloadShape(name, handler)
        self.__doc__ = handler.__doc__

    def __repr__(self) -> str:
        return f"Task({self.name!r})"

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobRef[R]:
        """Enqueues a job that calls the handler with these arguments."""
        return await self.options().enqueue(*args, **kwargs)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> SyncJobRef[R]:
        """The same without an event loop."""
        return self.options().enqueue_sync(*args, **kwargs)

    def request(self, *args: P.args, **kwargs: P.kwargs) -> NewJob[R]:
        """The job that ``enqueue`` would make, for ``enqueue_many``."""
        return self.options().request(*args, **kwargs)

    def options(self, **options: Unpack[JobOptions]) -> TaskWithOptions[P, R]:
        """The same task, with other options for the jobs that are enqueued through it."""
        return TaskWithOptions(self, cast(JobOptions, {**self._options, **options}))

    async def run(self, ctx: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the handler here and now, as in a test: what goes in and out passes through JSON as on the way."""
        result = self.call(ctx, self.payload(*args, **kwargs))
        return self.read_result(await result if inspect.isawaitable(result) else result)

    def run_sync(self, ctx: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        """The same for a handler that is no coroutine."""
        if self.is_async:
            raise TypeError(f"the handler of {self.name} is a coroutine: await run(…)")
        return self.read_result(self.call(ctx, self.payload(*args, **kwargs)))

    def payload(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """The payload of a job with these arguments."""
        return self._shape.payload(args, kwargs)

    def call(self, ctx: Context, payload: Any) -> R | Awaitable[R]:
        """Calls the handler with what a payload holds; raises :class:`InvalidPayload` instead if it does not fit."""
        args, kwargs = self._shape.arguments(payload)
        return cast("R | Awaitable[R]", self.handler(ctx, *args, **kwargs))

    def read_result(self, result: Any) -> R:
        """A result as whoever waits for the job gets it."""
        return cast(R, decode(self.result_type, encode(result), strict=False))

    @property
    def result_type(self) -> Any:
        """What the handler says that it returns."""
        return hints_of(self.handler).get("return", Any)


@dataclass(frozen=True)
class TaskWithOptions(Generic[P, R]):
    """A task, and how its jobs are to be run."""

    task: Task[P, R]
    given: JobOptions

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobRef[R]:
        """Enqueues a job that calls the handler with these arguments."""
        return await self.task._sender.send(self.request(*args, **kwargs))

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> SyncJobRef[R]:
        """The same without an event loop."""
        return self.task._sender.send_sync(self.request(*args, **kwargs))

    def request(self, *args: P.args, **kwargs: P.kwargs) -> NewJob[R]:
        """The job that ``enqueue`` would make, for ``enqueue_many``."""
        payload = self.task.payload(*args, **kwargs)
        return NewJob(job_request(self.task.name, payload, self.given), self.task.result_type)


class PayloadShape:
    """How a handler's arguments and a payload become one another.

    The arguments are fields of the payload by their names. If the only one is a dataclass, a TypedDict or a pydantic
    model, it is the payload as a whole.
    """

    def __init__(self, name: str, handler: Callable[..., Any]) -> None:
        self._name = name
        self._handler = handler
        parameters = list(inspect.signature(handler).parameters.values())
        where = f"the handler of {name}"
        if not parameters or parameters[0].kind not in _POSITIONAL:
            raise TypeError(f"{where} needs a context as its first parameter: def handler(ctx: jobforge.Context, …)")
        for parameter in parameters[1:]:
            if parameter.kind in _VARIADIC:
                raise TypeError(f"{where} takes *{parameter.name}: name its arguments, they are fields of the payload")
        self._signature = inspect.Signature(parameters[1:])
        self._by_name = all(parameter.kind is not inspect.Parameter.POSITIONAL_ONLY for parameter in parameters[1:])

    def payload(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The payload for these arguments. Defaults are left out: they are those of the worker that runs the job."""
        given = self._signature.bind(*args, **kwargs).arguments
        model = self._model
        return encode(given[model] if model and model in given else dict(given))

    def arguments(self, payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that a payload holds."""
        try:
            given = self._read(payload)
        except InvalidPayload as fault:
            raise InvalidPayload(f"the payload does not fit type {self._name}: {fault}") from fault
        if self._by_name:
            return (), given
        bound = inspect.BoundArguments(self._signature, given)
        return bound.args, bound.kwargs

    def _read(self, payload: Any) -> dict[str, Any]:
        parameters, model, hints = self._signature.parameters, self._model, hints_of(self._handler)
        if model and not (payload == {} and parameters[model].default is not inspect.Parameter.empty):
            return {model: decode(hints[model], payload, strict=True)}
        if not isinstance(payload, dict):
            raise InvalidPayload("it is no object with the handler's arguments")
        missing = [
            name
            for name, parameter in parameters.items()
            if parameter.default is inspect.Parameter.empty and name not in payload
        ]
        unknown = [name for name in payload if name not in parameters]
        if missing or unknown:
            faults = [f"{name!r} is missing" for name in missing] + [f"{name!r} is unknown" for name in unknown]
            raise InvalidPayload(", ".join(faults))
        # In the order of the parameters, in which they are passed.
        return {
            name: decode(hints.get(name, Any), payload[name], strict=True, at=f"/{name}")
            for name in parameters
            if name in payload
        }

    @cached_property
    def _model(self) -> str | None:
        names = list(self._signature.parameters)
        if len(names) == 1 and is_model(hints_of(self._handler).get(names[0])):
            return names[0]
        return None


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
