"""The Python workers of a mixed fleet: the same job as a program of `exec`, done by a handler that hears of nothing."""

import os
import time

import jobforge as jf

app = jf.JobForge()


def note(ctx: jf.Context, what: str, diary: str) -> None:
    line = f"{what} {ctx.job.id} {ctx.fence} {os.getpid()} python\n"
    with open(diary, "a") as file:
        file.write(line)


@app.task("exec", queue="default")
def work(ctx: jf.Context, argv: list[str], grace_ms: int) -> int:
    diary, seconds = argv[-2:]
    note(ctx, "begun", diary)
    # Blocks: after a freeze it ends as if nothing had been, and only the fence tells that others have the job.
    time.sleep(float(seconds))
    note(ctx, "done", diary)
    return ctx.fence
