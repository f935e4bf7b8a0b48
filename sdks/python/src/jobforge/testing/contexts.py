"""Contexts for handlers that are run by a test."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from ..codec import encode
from ..context import Context, JobFacts


def context(*, checkpoint: Any = None, attempt: int = 1, max_attempts: int = 5, fence: int = 1) -> Context:
    """A context as the first attempt of a job has it, or as a later one with the checkpoint of those before.

    ``ctx.reports.latest`` tells what the handler has reported, and ``ctx.ask_to_stop(reason)`` asks it to stop.

        ctx = jobforge.testing.context(checkpoint=3)
        report = await build_report.run(ctx, 7, "2026-08")
        assert ctx.reports.latest["percent"] == 100
    """
    return Context(
        JobFacts(
            id=str(uuid4()),
            fence=fence,
            type="test",
            attempt=attempt,
            max_attempts=max_attempts,
            checkpoint=encode(checkpoint),
        )
    )
