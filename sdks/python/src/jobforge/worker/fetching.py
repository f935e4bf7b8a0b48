"""Bringing payloads that are not in the answer to the claim."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from hashlib import sha256

from ..context import JobFacts, StoredPayload
from ..errors import JobForgeError, Refused, Retry
from ..retrying import wait_before_again
from .attempts import Attempt
from .line import AsyncLine


async def bring_payload(attempt: Attempt, line: AsyncLine) -> BaseException | None:
    """Brings the payload if it is elsewhere; gives the error that the attempt fails with if it cannot be had."""
    stored = attempt.job.payload_stored
    if stored is None:
        return None
    fetching = asyncio.create_task(_fetched(attempt.job, stored, line))
    ends: set[asyncio.Future[object]] = {fetching, attempt.stop_asked}  # type: ignore[arg-type]
    await asyncio.wait(ends, timeout=attempt.job.timeout_s, return_when=asyncio.FIRST_COMPLETED)
    if not fetching.done():
        # Why it has to stop is seen as for any other handler.
        fetching.cancel()
        return asyncio.CancelledError() if attempt.stop_asked.done() else None
    if (fault := fetching.exception()) is not None:
        return fault
    attempt.job = attempt.ctx.job = fetching.result()
    return None


async def _fetched(job: JobFacts, stored: StoredPayload, line: AsyncLine) -> JobFacts:
    text = await _text(job, line)
    if len(text) != stored.bytes or sha256(text).hexdigest() != stored.sha256:
        raise Retry(f"the payload that came has {len(text)} bytes and is not the one stored", kind="payload_damaged")
    return replace(job, payload=json.loads(text), payload_stored=None)


async def _text(job: JobFacts, line: AsyncLine) -> bytes:
    """Asks for the payload, and again as long as that may help."""
    tries, draw = 0, random.Random()
    while True:
        try:
            return await line.payload(job.id)
        except JobForgeError as fault:
            tries += 1
            wait = wait_before_again(fault, tries, repeatable=True, draw=draw)
            if wait is None:
                kind = fault.code if isinstance(fault, Refused) else "payload_unavailable"
                raise Retry(f"the payload cannot be had: {fault}", kind=kind) from fault
        await asyncio.sleep(wait)
