"""Payloads that are too large for the database: refused, or kept elsewhere and brought to handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SETTINGS, Site

import jobforge as jf
from jobforge.payloads import portions
from jobforge.testing import TestServer

LARGE = "x" * (300 * 1024)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("payloads") / "kept"


@pytest.fixture(scope="module")
def keeping(folder: Path) -> Iterator[TestServer]:
    """A server that keeps large payloads."""
    with TestServer(environment={**SETTINGS, "JOBFORGE_PAYLOAD_STORE": str(folder)}) as server:
        yield server


@pytest.fixture
def roomy(keeping: TestServer, tmp_path: Path) -> Iterator[Site]:
    site = Site(keeping, tmp_path)
    yield site
    site.close()


def test_without_a_place_a_large_payload_is_refused_with_both_ways_out(site: Site) -> None:
    with pytest.raises(jf.PayloadTooLarge, match=r"data_ref.*payload_store") as refused:
        site.enqueue("t.measure", {"text": LARGE})
    assert refused.value.bytes > len(LARGE)
    with pytest.raises(jf.PayloadTooLarge):
        site.client.enqueue_many([jf.new_job("t.measure", LARGE, queue=site.queue), jf.new_job("t.measure")])
    assert list(site.client.jobs(queue=site.queue)) == []


def test_a_payload_of_300_kb_is_enqueued_and_handled_whole(roomy: Site) -> None:
    job = roomy.enqueue("t.measure", {"text": LARGE, "sign": "é\u2028"})
    in_thread = roomy.enqueue("t.sync_measure", {"text": LARGE})
    assert job.info().payload["$jobforge.payload"]["bytes"] > len(LARGE)
    roomy.worker()
    assert job.result() == f"{len(LARGE)} é\u2028"
    assert in_thread.result() == len(LARGE)


def test_without_asyncio_and_with_it_many_jobs_take_as_many_calls_as_they_need(roomy: Site) -> None:
    jobs = [jf.new_job("t.keep", part, queue=roomy.queue) for part in ("a", "y" * 3_000_000, "b", "z" * 9_000_000)]
    assert len({ref.id for ref in roomy.client.enqueue_many(jobs)}) == 4

    async def again() -> list[jf.JobRef[object]]:
        async with jf.AsyncClient(roomy.server.url) as client:
            return await client.enqueue_many(jobs)

    assert len({ref.id for ref in asyncio.run(again())}) == 4
    with pytest.raises(jf.PayloadTooLarge, match="16777216"):
        roomy.enqueue("t.keep", "x" * 17_000_000)


def test_an_attempt_whose_payload_is_gone_fails_with_what_happened(roomy: Site, folder: Path) -> None:
    job = roomy.enqueue("t.measure", {"text": LARGE}, max_attempts=1)
    marked = job.id.replace("-", "")
    [kept] = [file for file in folder.rglob("*") if file.name.startswith(marked)]
    whole = kept.read_bytes()
    kept.unlink()
    roomy.worker()
    dead = roomy.until_status(job, "dead")
    assert dead.error is not None
    assert dead.error.kind == "payload_missing"
    kept.write_bytes(whole)
    job.retry()
    assert job.result() == f"{len(LARGE)} "


def test_portions_hold_what_fits_and_a_large_job_alone() -> None:
    def cut(*sizes: int) -> list[tuple[int, int]]:
        return [(portion.start, portion.stop) for portion in portions(sizes, 3)]

    assert cut() == []
    assert cut(1, 1, 1, 1) == [(0, 3), (3, 4)]
    assert cut(1, 5_000_000, 1) == [(0, 1), (1, 2), (2, 3)]
    assert cut(2_000_000, 2_000_000, 2_000_000) == [(0, 2), (2, 3)]
