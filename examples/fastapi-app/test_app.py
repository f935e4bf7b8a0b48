"""The application as its users see it: a real server, a real worker, and requests."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from app import app
from fastapi.testclient import TestClient
from jobforge.testing import TestServer, assert_enqueued, context, recording
from tasks import app as jobs
from tasks import count_words

PATIENCE_S = 60.0


@pytest.fixture
def web() -> Iterator[TestClient]:
    """The application, with a server behind it and a worker beside it."""
    with TestServer() as server:
        environment = {**os.environ, "JOBFORGE_URL": server.url}
        command = [sys.executable, "-m", "jobforge", "worker", "tasks:app"]
        worker = subprocess.Popen(command, cwd=Path(__file__).parent, env=environment)
        try:
            with jobs.at(server.url), TestClient(app) as client:
                yield client
        finally:
            worker.terminate()
            worker.wait(PATIENCE_S)


def look(web: TestClient, place: str) -> dict[str, Any]:
    answer = web.get(place, headers={"accept": "application/json"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_text_is_counted_in_the_background_while_the_page_shows_how_far_it_is(
    web: TestClient,
) -> None:
    text = "\n".join(["the quick brown fox", "the lazy dog"] * 20)
    answer = web.post("/counts", data={"text": text}, follow_redirects=False)
    assert answer.status_code == 303
    place = answer.headers["location"]
    assert "<progress" in web.get(place).text
    seen: list[dict[str, Any]] = [look(web, place)]
    ends = time.monotonic() + PATIENCE_S
    while not seen[-1]["ended"]:
        assert time.monotonic() < ends, seen[-1]
        time.sleep(0.1)
        seen.append(look(web, place))
    assert seen[-1]["result"]["the"] == 40
    assert any(0 < each["percent"] < 100 for each in seen), "no progress was seen on the way"


def test_a_count_can_be_canceled_and_only_counts_can_be_seen(web: TestClient) -> None:
    place = web.post("/counts", data={"text": "word\n" * 10_000}, follow_redirects=False).headers["location"]
    assert web.delete(place).json()["status"] == "canceled"
    assert look(web, place)["ended"]
    other = jobs.sync_client.enqueue("secret.job")
    for unknown in (f"/counts/{other.id}", "/counts/nonsense"):
        assert web.get(unknown, headers={"accept": "application/json"}).status_code == 404


def test_the_form_enqueues_its_lines() -> None:
    with recording(jobs) as enqueued, TestClient(app) as client:
        client.post("/counts", data={"text": "a b\nc"}, follow_redirects=False)
    assert_enqueued(enqueued, "words.count", lines=["a b", "c"])


async def count(lines: list[str], checkpoint: Any) -> dict[str, int]:
    return await count_words.run(context(checkpoint=checkpoint), lines)


def test_a_count_goes_on_where_it_was() -> None:
    counted = asyncio.run(count(["a b", "b c"], {"done": 1, "counts": {"a": 1, "b": 1}}))
    assert counted == {"b": 2, "a": 1, "c": 1}
