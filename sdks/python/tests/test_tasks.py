"""Tasks: how arguments become a payload, and what a test of an application can do without a server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, TypedDict

import pydantic
import pytest

import jobforge as jf
from jobforge.testing import assert_enqueued, context, recording


@dataclass
class Letter:
    to: str
    copies: int = 1


class Row(TypedDict):
    id: int


class Order(pydantic.BaseModel):
    item: str
    amount: int = 1


def application() -> jf.JobForge:
    return jf.JobForge("http://nowhere.example")


def test_arguments_are_the_fields_of_the_payload_and_defaults_are_left_to_the_worker() -> None:
    app = application()

    @app.task("report.build")
    async def build(ctx: jf.Context, account_id: int, month: str = "2026-01", *, draft: bool = False) -> None:
        pass

    assert build.payload(7) == {"account_id": 7}
    assert build.payload(7, "2026-08", draft=True) == {"account_id": 7, "month": "2026-08", "draft": True}


@pytest.mark.parametrize(
    ("model", "given", "payload"),
    [
        (Letter, Letter("a@example.org"), {"to": "a@example.org", "copies": 1}),
        (Row, {"id": 3}, {"id": 3}),
        (Order, Order(item="x"), {"item": "x", "amount": 1}),
        (jf.Payload, [1, {"a": None}], [1, {"a": None}]),
    ],
)
def test_a_single_model_is_the_payload_as_a_whole(model: Any, given: Any, payload: Any) -> None:
    app = application()
    seen: list[Any] = []

    def handle(ctx: jf.Context, what: Any) -> None:
        seen.append(what)

    handle.__annotations__["what"] = model
    task = app.task("t")(handle)
    assert task.payload(given) == payload
    task.run_sync(context(), given)
    assert seen == [given]


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        ({}, "'account_id' is missing"),
        ({"account_id": 7, "mnoth": "x"}, "'mnoth' is unknown"),
        ({"account_id": "seven"}, "/account_id: 'seven' is not a whole number"),
        ([7], "it is no object with the handler's arguments"),
    ],
)
def test_a_payload_that_does_not_fit_never_reaches_the_handler(payload: Any, fault: str) -> None:
    app = application()

    @app.task("report.build")
    async def build(ctx: jf.Context, account_id: int, month: str = "2026-01") -> None:
        raise AssertionError("it was called")

    with pytest.raises(jf.InvalidPayload, match=r"the payload does not fit type report\.build") as refused:
        build.call(context(), payload)
    assert fault in str(refused.value)


def test_a_handler_that_cannot_be_called_with_a_payload_is_refused_when_it_is_declared() -> None:
    app = application()

    def no_context() -> None: ...

    def anything(ctx: jf.Context, *args: int) -> None: ...

    handlers: list[Callable[..., Any]] = [no_context, anything]
    for handler in handlers:
        with pytest.raises(TypeError, match="handler of t"):
            app.task("t")(handler)
    app.task("twice")(lambda ctx: None)
    with pytest.raises(ValueError, match="two handlers"):
        app.task("twice")(lambda ctx: None)


def test_a_handler_runs_in_a_test_without_a_server() -> None:
    app = application()

    @app.task("letters.write")
    async def write(ctx: jf.Context, letters: list[Letter]) -> dict[str, Letter]:
        for n in range(ctx.checkpoint or 0, len(letters)):
            await ctx.progress(100 * (n + 1) // len(letters), f"letter {n + 1}", checkpoint=n + 1)
        return {letter.to: letter for letter in letters}

    ctx = context(checkpoint=1)
    written = asyncio.run(write.run(ctx, [Letter("a"), Letter("b")]))
    assert written == {"a": Letter("a"), "b": Letter("b")}
    assert ctx.reports.latest == {"percent": 100, "message": "letter 2", "checkpoint": 2}


def test_a_handler_can_be_asked_to_stop_in_a_test() -> None:
    app = application()

    @app.task("t")
    def wait(ctx: jf.Context) -> None:
        ctx.sleep(60)

    ctx = context()
    ctx.ask_to_stop(jf.StopReason.CANCELED)
    with pytest.raises(jf.Stopped):
        wait.run_sync(ctx)


def test_what_is_enqueued_is_recorded_in_place_of_a_server() -> None:
    app = application()

    @app.task("email.send", queue="mail", max_attempts=3, timeout=timedelta(seconds=1.5))
    async def send(ctx: jf.Context, to: str) -> None:
        pass

    async def sign_up() -> None:
        due = datetime(2027, 1, 1, tzinfo=timezone.utc)
        await send.enqueue("a@example.org")
        await send.options(priority=-1, run_at=due, retry=jf.RetryPolicy(base=timedelta(0))).enqueue(to="b@example.org")
        await app.enqueue_many([send.request(to) for to in ("c@example.org", "d@example.org")])

    with recording(app) as jobs:
        asyncio.run(sign_up())
        keyed = send.options(idempotency_key="k")
        first, second = keyed.enqueue_sync("e@example.org"), keyed.enqueue_sync("e@example.org")
    assert (first.id, first.created, second.created) == (second.id, True, False)
    assert len(jobs.jobs) == 5
    plain = assert_enqueued(jobs, "email.send", to="a@example.org")
    assert plain == {
        "type": "email.send",
        "payload": {"to": "a@example.org"},
        "queue": "mail",
        "max_attempts": 3,
        "timeout_ms": 1500,
    }
    other = assert_enqueued(jobs, "email.send", to="b@example.org")
    assert other["priority"] == -1
    assert other["run_at"] == "2027-01-01T00:00:00+00:00"
    assert other["retry"] == {"base_ms": 0, "factor": 2.0, "max_ms": 3600000, "jitter": 0.2}
    with pytest.raises(AssertionError, match=r"0 jobs of type email\.send"):
        assert_enqueued(jobs, "email.send", to="nobody")


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        jf.new_job("t", run_at=datetime(2027, 1, 1))


def test_pydantic_is_not_imported_unless_somebody_uses_it() -> None:
    code = "import sys, jobforge, jobforge.testing; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
