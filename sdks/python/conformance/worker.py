"""The worker that `jobforge protocol-test` runs; what its jobs do is in docs/protocol-test.md.

jobforge protocol-test --cmd 'exec python sdks/python/conformance/worker.py'
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any, TypedDict

import jobforge as jf

STEP_S = 0.2

app = jf.JobForge()


class Milliseconds(TypedDict):
    ms: int


class End(TypedDict):
    outcome: str
    kind: str
    message: str


@app.task("protocol.sleep")
async def sleep(ctx: jf.Context, how_long: Milliseconds) -> dict[str, int]:
    loop = asyncio.get_running_loop()
    began, seconds = loop.time(), how_long["ms"] / 1000
    while (passed := loop.time() - began) < seconds:
        await ctx.progress(100 * passed / seconds)
        await asyncio.sleep(min(STEP_S, seconds - passed))
    return {"slept_ms": how_long["ms"]}


@app.task("protocol.fail")
async def fail(ctx: jf.Context, end: End) -> None:
    message, kind = end["message"], end["kind"]
    if end["outcome"] == "retry":
        raise jf.Retry(message, kind=kind)
    if end["outcome"] == "failed":
        raise jf.Failed(message, kind=kind)
    raise jf.Dead(message, kind=kind)


@app.task("protocol.checkpoint")
async def checkpoint(ctx: jf.Context, steps: int) -> dict[str, int]:
    if ctx.checkpoint is not None:
        return {"resumed_from": ctx.checkpoint["step"]}
    for step in range(1, steps + 1):
        await ctx.save({"step": step})
    raise jf.Retry("interrupted on purpose", kind="interrupted")


@app.task("protocol.snooze")
async def snooze(ctx: jf.Context, how_long: Milliseconds) -> dict[str, bool]:
    if ctx.fence == 1:
        raise jf.Snooze(timedelta(milliseconds=how_long["ms"]))
    return {"woken": True}


@app.task("protocol.echo")
async def echo(ctx: jf.Context, payload: jf.Payload) -> Any:
    return payload


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx2").setLevel("WARNING")
    asyncio.run(app.work(concurrency=4))
