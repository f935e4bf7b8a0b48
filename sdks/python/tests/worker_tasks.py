"""The application whose workers the tests start, freeze and kill."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

import jobforge as jf

app = jf.JobForge()
QUEUE = os.environ.get("TEST_QUEUE", "default")
DIARY = Path(os.environ.get("TEST_DIARY", os.devnull))


def note(ctx: jf.Context, what: str) -> None:
    """Writes a line into the diary that all workers of a test share."""
    line = f"{time.monotonic():.6f} {os.getpid()} {ctx.job.id} {ctx.fence} {what}\n"
    with DIARY.open("a") as diary:
        diary.write(line)


@app.task("t.add", queue=QUEUE)
async def add(ctx: jf.Context, left: int, right: int = 1) -> int:
    return left + right


@app.task("t.sync_add", queue=QUEUE)
def sync_add(ctx: jf.Context, left: int, right: int) -> int:
    return left + right


@app.task("t.measure", queue=QUEUE)
async def measure(ctx: jf.Context, text: str, sign: str = "") -> str:
    return f"{len(text)} {sign}"


@app.task("t.sync_measure", queue=QUEUE)
def sync_measure(ctx: jf.Context, text: str) -> int:
    return len(text)


@app.task("t.sleep", queue=QUEUE)
async def sleep(ctx: jf.Context, seconds: float) -> str:
    note(ctx, "begins")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note(ctx, f"stopped {ctx.stop_reason.value if ctx.stop_reason else None}")
        raise
    note(ctx, "ends")
    return "slept"


@app.task("t.sync_sleep", queue=QUEUE)
def sync_sleep(ctx: jf.Context, seconds: float) -> str:
    note(ctx, "begins")
    try:
        ctx.sleep(seconds)
    except jf.Stopped:
        note(ctx, f"stopped {ctx.stop_reason.value if ctx.stop_reason else None}")
        raise
    note(ctx, "ends")
    return "slept"


@app.task("t.stubborn", queue=QUEUE)
def stubborn(ctx: jf.Context, seconds: float) -> None:
    note(ctx, "begins")
    time.sleep(seconds)
    note(ctx, "ends")


@app.task("t.block", queue=QUEUE)
async def block(ctx: jf.Context, seconds: float) -> str:
    await ctx.progress(10, "about to block")
    time.sleep(seconds)  # noqa: ASYNC251 - what is tested is that this is seen
    return "blocked"


@app.task("t.spin", queue=QUEUE)
async def spin(ctx: jf.Context, seconds: float) -> str:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass
    return "spun"


@app.task("t.report", queue=QUEUE)
async def report(ctx: jf.Context, seconds: float) -> None:
    await ctx.progress(40, "half way", phase="middle", checkpoint={"page": 2})
    await ctx.items(processed=3, failed=1)
    await ctx.log("page 1")
    await ctx.log("page 2")
    await asyncio.sleep(seconds)


@app.task("t.resume", queue=QUEUE)
async def resume(ctx: jf.Context) -> int:
    if ctx.checkpoint is None:
        await ctx.save(7)
        raise jf.Retry("not yet", after=timedelta(0))
    return int(ctx.checkpoint)


@app.task("t.end", queue=QUEUE)
async def end(ctx: jf.Context, how: str) -> None:
    if how == "retry":
        raise jf.Retry("try again", after=timedelta(hours=1), kind="busy", details={"host": "a"})
    if how == "failed":
        raise jf.Failed("no such month", kind="month")
    if how == "dead":
        raise jf.Dead("somebody should look")
    if how == "snooze" and ctx.fence == 1:
        raise jf.Snooze(timedelta(hours=1))
    if how == "crash":
        raise KeyError("no such key")


@app.task("t.odd_report", queue=QUEUE)
async def odd_report(ctx: jf.Context) -> str:
    await ctx.progress(10, "half of a pair: \ud800", phase="\0")
    deep: object = 1
    for _ in range(200):
        deep = [deep]
    await ctx.save(deep)
    await asyncio.sleep(3)
    try:
        await ctx.save(float("nan"))
    except ValueError:
        await ctx.save(7)
    raise jf.Dead("as it should be", details={"what": object(), "number": float("nan")})


@app.task("t.odd", queue=QUEUE)
async def odd(ctx: jf.Context, what: str) -> object:
    if what == "object":
        return object()
    if what == "large":
        return "x" * (1024 * 1024 + 1)
    return "half of a pair: \ud800"
