"""What the type checker has to say: mypy fails on an ``ignore`` that is not needed, so each of these is an error."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import assert_type

import jobforge as jf

app = jf.JobForge()


@dataclass
class Report:
    rows: int


@app.task("report.build", queue="reports")
async def build(ctx: jf.Context, account_id: int, month: str = "2026-01") -> Report:
    return Report(account_id)


@app.task("report.count")
def count(ctx: jf.Context, report: Report) -> int:
    return report.rows


async def enqueue() -> None:
    assert_type(await build.enqueue(7, month="2026-08"), jf.JobRef[Report])
    assert_type(await (await build.enqueue(7)).result(), Report)
    assert_type(count.enqueue_sync(Report(3)), jf.SyncJobRef[int])
    assert_type(count.options(queue="other").enqueue_sync(Report(3)).result(), int)
    assert_type(await app.enqueue_many([count.request(Report(3))]), list[jf.JobRef[int]])

    await build.enqueue("7")  # type: ignore[arg-type]
    await build.enqueue(7, month=3)  # type: ignore[arg-type]
    await build.enqueue()  # type: ignore[call-arg]
    await build.options(queue="q").enqueue(7, moth="x")  # type: ignore[call-arg]
    build.options(quue="q")  # type: ignore[call-arg]
    count.enqueue_sync(3)  # type: ignore[arg-type]
    app.task("t", max_attempts="many")  # type: ignore[arg-type]
