"""Running a handler to its end, and what its end means."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import threading
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..clock import monotonic
from ..codec import encode
from ..context import StopReason
from ..errors import Dead, InvalidPayload, Outcome, Retry, Snooze, Stopped
from ..http import body_of
from ..options import millis
from ..reports import cut
from ..task import Task
from .attempts import Attempt
from .fetching import bring_payload
from .line import AsyncLine
from .policy import attempt_ends

log = logging.getLogger("jobforge")

RESULT_BYTES = 1024 * 1024
MESSAGE_BYTES = 4 * 1024
STACK_BYTES = 16 * 1024

_CAUGHT = (Exception, asyncio.CancelledError, SystemExit)


@dataclass(frozen=True)
class Ending:
    """How a handler's call ended: with a value, or with an error."""

    value: Any = None
    error: BaseException | None = None


async def run_to_its_end(attempt: Attempt, task: Task[Any, Any], line: AsyncLine) -> Ending:
    """Runs the handler until it has ended, and asks it to stop when its time is over."""
    fault = await bring_payload(attempt, line)
    if fault is not None:
        return Ending(error=fault)
    if attempt.job.payload_stored is not None:
        attempt.ask_to_stop(StopReason.TIMEOUT)
        return Ending(error=asyncio.CancelledError())
    payload = attempt.job.payload
    running: asyncio.Future[Ending]
    if task.is_async:
        attempt.in_loop = True
        handler = asyncio.create_task(_awaited(attempt, task), name=f"{task.name} {attempt.job.id}")
        if attempt.job.timeout_s is None and attempt.job.progress_timeout_s is None:
            return await _until_stopped(attempt, handler)
        running = handler
    else:
        running = _in_thread(f"{task.name} {attempt.job.id}", lambda: _called(lambda: task.call(attempt.ctx, payload)))
    while not running.done() and not attempt.stop_asked.done():
        job, progressed = attempt.job, attempt.ctx.reports.progressed_at
        ends_at, standstill = attempt_ends(attempt.started, job.timeout_s, progressed, job.progress_timeout_s)
        left = None if ends_at is None else ends_at - monotonic()
        if left is not None and left <= 0:
            attempt.ask_to_stop(StopReason.NO_PROGRESS if standstill else StopReason.TIMEOUT)
            break
        ends: set[asyncio.Future[Any]] = {running, attempt.stop_asked}
        await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        if task.is_async:
            running.cancel()
        # However long it takes: only one that has ended can be reported, and its slot is free no sooner.
        await asyncio.wait({running})
    return Ending(error=asyncio.CancelledError()) if running.cancelled() else running.result()


async def _until_stopped(attempt: Attempt, handler: asyncio.Task[Ending]) -> Ending:
    """Waits for an async handler whose time has no bound: most have none, and this costs less than to watch a clock."""
    attempt.stop_asked.add_done_callback(lambda _: handler.cancel())
    try:
        return await handler
    except asyncio.CancelledError as error:
        if handler.cancelled():
            return Ending(error=error)
        raise


async def _awaited(attempt: Attempt, task: Task[Any, Any]) -> Ending:
    try:
        result: Awaitable[Any] = task.call(attempt.ctx, attempt.job.payload)
        return Ending(value=await result)
    except _CAUGHT as error:
        return Ending(error=error)


def _called(call: Callable[[], Any]) -> Ending:
    try:
        return Ending(value=call())
    except _CAUGHT as error:
        return Ending(error=error)


def _in_thread(name: str, call: Callable[[], Ending]) -> asyncio.Future[Ending]:
    """Runs a call in a thread of its own, which does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Ending] = loop.create_future()
    variables = contextvars.copy_context()

    def settle(ending: Ending) -> None:
        if not future.done():
            future.set_result(ending)

    def run() -> None:
        ending = variables.run(call)
        try:
            loop.call_soon_threadsafe(settle, ending)
        except RuntimeError:
            # The loop was closed: nobody waits any more.
            log.debug("the end of %s came after that of the worker", name)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def result_of(attempt: Attempt, ending: Ending) -> dict[str, Any] | None:
    """What is to be reported of an attempt; ``None`` if nothing may be said about it any more."""
    outcome = _outcome(attempt, ending)
    if outcome is None:
        return None
    report = attempt.ctx.reports.take()
    said = {} if report is None else {"report": report}
    return {"id": attempt.job.id, "fence": attempt.job.fence, **outcome, **said}


def _outcome(attempt: Attempt, ending: Ending) -> dict[str, Any] | None:
    reason, error, job = attempt.ctx.stop_reason, ending.error, attempt.job
    if error is None:
        return _succeeded(ending.value)
    if reason is StopReason.CANCELED:
        return None
    if reason is StopReason.LOST:
        # Nobody may have taken it yet: then it need not wait for the end of the lease.
        return {"outcome": "released"}
    if reason is StopReason.TIMEOUT:
        limit = timedelta(seconds=job.timeout_s or 0)
        return _failure("retry", "timeout", f"the attempt reached its time-out of {limit} and was stopped")
    if reason is StopReason.NO_PROGRESS:
        limit = timedelta(seconds=job.progress_timeout_s or 0)
        return _failure("retry", "no_progress", f"the handler reported nothing for {limit} and was stopped")
    if isinstance(error, (asyncio.CancelledError, Stopped)):
        if reason is StopReason.SHUTDOWN:
            return {"outcome": "released"}
        return _failure("retry", "stopped", "the handler said it was stopped, but nobody had asked it to")
    if isinstance(error, InvalidPayload):
        return _failure("failed", "invalid_payload", str(error))
    if isinstance(error, Outcome):
        return _chosen(error)
    return _crash(attempt, error)


def _succeeded(value: Any) -> dict[str, Any]:
    if value is None:
        return {"outcome": "succeeded"}
    try:
        result = encode(value)
        size = len(body_of(result))
    except (TypeError, ValueError) as fault:
        return _failure("failed", "bad_result", f"what the handler returned cannot be stored: {fault}")
    if size > RESULT_BYTES:
        return _failure(
            "failed",
            "bad_result",
            f"the result has {size} bytes, and at most {RESULT_BYTES} can be stored: "
            "keep it elsewhere and return where it is",
        )
    return {"outcome": "succeeded"} if result is None else {"outcome": "succeeded", "result": result}


def _chosen(error: Outcome) -> dict[str, Any]:
    if isinstance(error, Snooze):
        return {"outcome": "snoozed", "retry_in_ms": millis(error.after)}
    details = _as_json(error.details)
    if isinstance(error, Retry):
        retry = _failure("retry", error.kind, error.message, details)
        return retry if error.after is None else {**retry, "retry_in_ms": millis(error.after)}
    word = "dead" if isinstance(error, Dead) else "failed"
    return _failure(word, error.kind, error.message, details)


def _as_json(details: Any) -> Any:
    try:
        return json.loads(body_of(encode(details)))
    except (TypeError, ValueError):
        return repr(details)


def _crash(attempt: Attempt, error: BaseException) -> dict[str, Any]:
    log.warning("job %s (%s) failed: %r", attempt.job.id, attempt.job.type, error, exc_info=error)
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    # The end of it says where.
    details = {"stack": cut(stack[-STACK_BYTES:], STACK_BYTES)}
    return _failure("retry", type(error).__name__, str(error) or repr(error), details)


def _failure(outcome: str, kind: str, message: str, details: Any = None) -> dict[str, Any]:
    error = {"kind": kind, "message": cut(message, MESSAGE_BYTES)}
    return {"outcome": outcome, "error": error if details is None else {**error, "details": details}}


def refused_result(result: dict[str, Any], why: str) -> dict[str, Any]:
    """What is reported in place of a result that the server does not take."""
    said = f"the server refused what the handler returned or reported: {why}"
    return {"id": result["id"], "fence": result["fence"], **_failure("failed", "bad_result", said)}
