"""What runs in the background. The web application enqueues it, and a worker runs it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import timedelta

import jobforge as jf

LINE_S = 0.05
"""How long a line takes. It stands for the work that a request should not wait for."""
SHOWN = 10

app = jf.JobForge()


@app.task("words.count", queue="words", max_attempts=3, timeout=timedelta(minutes=10))
async def count_words(ctx: jf.Context, lines: list[str]) -> dict[str, int]:
    """Counts the words of a text, and gives the most frequent ones."""
    done, counts = 0, Counter[str]()
    if ctx.checkpoint:
        # Goes on where an earlier attempt was when its worker died.
        done, counts = ctx.checkpoint["done"], Counter(ctx.checkpoint["counts"])
    for line in lines[done:]:
        counts.update(re.findall(r"\w+", line.lower()))
        await asyncio.sleep(LINE_S)
        done += 1
        checkpoint = {"done": done, "counts": dict(counts)}
        await ctx.progress(
            100 * done / len(lines),
            f"line {done} of {len(lines)}",
            checkpoint=checkpoint,
        )
    return dict(counts.most_common(SHOWN))
