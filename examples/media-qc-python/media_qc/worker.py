"""The job, phase by phase, with the percentages that operators know from the runbook on stuck jobs."""

from __future__ import annotations

import time
from datetime import timedelta

import jobforge as jf

from . import analyze, child, container, fetch
from .job import MediaQc
from .probe import probe
from .report import Report, judge
from .settings import Settings

VERSION_PATIENCE_S = 10.0

app = jf.JobForge()
settings = Settings.from_environment()


# Generous, for a film of any length on a slow machine: a hung ffmpeg is noticed long before.
@app.task("media.qc", queue="media", timeout=timedelta(hours=4))
async def media_qc(ctx: jf.Context, job: MediaQc) -> Report:
    """Examines one source from beginning to end. A file that fails its checks is a report, not a failed job."""
    return await examine(ctx, job, settings)


async def examine(ctx: jf.Context, job: MediaQc, settings: Settings) -> Report:
    """The same under other settings."""
    await ctx.progress(5, "checking payload and tools", phase="initializing")
    job.validate()
    name = job.label
    # Both before anything is downloaded: a worker without ffmpeg should not fetch two gigabytes to find out.
    await version(settings.ffprobe)
    tool = await version(settings.ffmpeg)
    ctx.log(f"examining {name} with {tool}")

    await ctx.progress(fetch.BEGINS_AT, f"fetching {name}", phase="downloading")
    async with fetch.fetched(ctx, job, settings) as path:
        how = "downloaded" if job.is_url else "found"
        await ctx.progress(fetch.ENDS_AT, f"{how} {fetch.mebibytes(path.stat().st_size)}")

        await ctx.progress(analyze.BEGINS_AT, "reading the container", phase="analysis")
        # First, because ffprobe makes the best of a cut file and would not mention it.
        lack = container.lack(path)
        if lack:
            raise jf.Failed(f"{name} is truncated: {lack}", kind="truncated_media")
        media = await probe(path, name, settings)
        ctx.log(media.summary())
        began = time.monotonic()
        measured = await analyze.analyze(ctx, path, name, media, job.checks, settings)
        analysis_ms = round((time.monotonic() - began) * 1000)
        await ctx.progress(analyze.ENDS_AT, "analysis complete")

    await ctx.progress(80, "writing the report", phase="saving")
    reasons = judge(measured, job.checks)
    for reason in reasons:
        ctx.log(f"failed {reason.check}: {reason.message}")
    report = Report(name, "fail" if reasons else "pass", reasons, media, measured, analysis_ms, tool)
    await ctx.progress(100, report.verdict, phase="done")
    return report


async def version(program: str) -> str:
    """A tool's name and version, such as ``ffmpeg version 5.1.9``."""
    first: list[str] = []

    def keep(line: str) -> bool:
        first.append(line)
        return False

    await child.run(
        program,
        ["-version"],
        patience_s=VERSION_PATIENCE_S,
        on_stdout=keep,
        on_stderr=lambda line: bool(line) and False,
    )
    return " ".join(first[0].split()[:3]) if first else program
