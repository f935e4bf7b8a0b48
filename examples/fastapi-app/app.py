"""A web application that hands its slow work to background jobs, and shows how far they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import jobforge as jf
from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from tasks import app as jobs
from tasks import count_words


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with jobs:
        yield


app = FastAPI(title="Word counts", lifespan=lifespan)

FORM = """<!doctype html><title>Word counts</title>
<h1>Count words</h1>
<form method="post" action="/counts">
  <textarea name="text" rows="10" cols="60" required></textarea><br>
  <button>Count</button>
</form>"""

# The page asks again by itself until there is something to show.
PAGE = """<!doctype html><title>Word counts</title>
<h1>Counting</h1>
<progress id="bar" max="100" value="0"></progress> <span id="message"></span>
<pre id="result"></pre>
<script>
  async function look() {
    const job = await (await fetch(location.href, { headers: { accept: "application/json" } })).json();
    document.getElementById("bar").value = job.percent;
    document.getElementById("message").textContent = job.error ?? job.message ?? job.status;
    if (job.result) document.getElementById("result").textContent = JSON.stringify(job.result, null, 2);
    if (!job.ended) setTimeout(look, 500);
  }
  look();
</script>"""


@app.get("/", response_class=HTMLResponse)
async def form() -> str:
    return FORM


@app.post("/counts")
async def begin(text: Annotated[str, Form()]) -> RedirectResponse:
    """Enqueues and answers at once; the browser goes to the page that shows the progress."""
    job = await count_words.enqueue(text.splitlines())
    return RedirectResponse(f"/counts/{job.id}", status_code=303)


@app.get("/counts/{job_id}", response_model=None)
async def show(job_id: str, request: Request) -> HTMLResponse | JSONResponse:
    """The page for people, and what it asks for."""
    if "application/json" not in request.headers.get("accept", ""):
        return HTMLResponse(PAGE)
    return JSONResponse(summary(await find(job_id)))


@app.delete("/counts/{job_id}")
async def cancel(job_id: str) -> dict[str, Any]:
    """Stops counting."""
    await find(job_id)
    return summary(await jobs.client.cancel(job_id, reason="the user does not want it any more"))


async def find(job_id: str) -> jf.JobInfo:
    """The job, if it is one of this application's: the ids of others open nothing."""
    try:
        job = await jobs.client.get(job_id)
    except jf.Refused as refused:
        if refused.status in (400, 404):
            raise HTTPException(404, "there is no such count") from refused
        raise
    if job.type != count_words.name:
        raise HTTPException(404, "there is no such count")
    return job


def summary(job: jf.JobInfo) -> dict[str, Any]:
    """What the page shows."""
    return {
        "status": job.status,
        "ended": job.ended,
        "percent": 100 if job.status == "succeeded" else job.progress.percent or 0,
        "message": job.progress.message,
        "result": job.result,
        "error": job.error.message if job.error and job.ended else None,
    }
