"""The clients, against a real server."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from conftest import Site

import jobforge as jf


def test_a_job_is_made_once_for_its_key_and_another_one_with_the_key_is_refused(site: Site) -> None:
    first = site.enqueue("t.add", {"left": 1}, idempotency_key="k")
    again = site.enqueue("t.add", {"left": 1}, idempotency_key="k")
    assert (first.id, first.created, again.created) == (again.id, True, False)
    with pytest.raises(jf.Refused) as refused:
        site.enqueue("t.add", {"left": 2}, idempotency_key="k")
    assert (refused.value.status, refused.value.code) == (409, "idempotency_conflict")
    assert refused.value.existing == first.id
    assert [fault["pointer"] for fault in refused.value.errors] == ["/payload/left"]
    assert refused.value.request_id is not None
    assert refused.value.request_id in str(refused.value)


def test_a_job_tells_what_it_is_and_what_it_was_told(site: Site) -> None:
    ref = site.enqueue("t.add", {"left": 1}, priority=-3, tags=["a", "b"], delay=timedelta(hours=1), max_attempts=7)
    job = ref.info()
    assert (job.type, job.queue, job.status, job.ended) == ("t.add", site.queue, "queued", False)
    assert (job.payload, job.priority, job.tags, job.max_attempts) == ({"left": 1}, -3, ["a", "b"], 7)
    assert timedelta(minutes=59) < job.run_at - job.created_at < timedelta(minutes=61)
    assert job.raw["tenant_id"] == job.tenant_id == "default"


def test_more_jobs_than_fit_into_one_call_are_enqueued_and_listed_page_by_page(site: Site) -> None:
    refs = site.client.enqueue_many([jf.new_job("t.add", {"left": n}, queue=site.queue) for n in range(1203)])
    assert len({ref.id for ref in refs}) == 1203
    page = site.client.page(queue=site.queue, status=["queued", "running"], limit=500)
    assert len(page.jobs) == 500
    assert page.next is not None
    listed = [job.id for job in site.client.jobs(queue=site.queue, limit=500)]
    assert sorted(listed) == sorted(ref.id for ref in refs)


def test_a_job_is_canceled_and_run_again(site: Site) -> None:
    ref = site.enqueue("t.add", {"left": 1})
    assert ref.cancel(reason="a test").status == "canceled"
    assert ref.cancel().status == "canceled"
    with pytest.raises(jf.JobCanceled):
        ref.result()
    assert ref.retry().status == "queued"


def test_waiting_ends_when_its_time_is_over_and_the_job_goes_on(site: Site) -> None:
    ref = site.enqueue("t.add", {"left": 1})
    with pytest.raises(jf.NotEnded, match=r"still queued after 0\.2 s"):
        ref.result(timeout=timedelta(seconds=0.2))
    with pytest.raises(TimeoutError):
        ref.result(timeout=timedelta(0))
    assert ref.info().status == "queued"


def test_what_makes_no_sense_is_refused_with_its_code(site: Site) -> None:
    with pytest.raises(jf.Refused) as refused:
        site.enqueue("no such type!")
    assert refused.value.status == 422
    with pytest.raises(jf.Refused) as missing:
        site.client.get("01890a5d-ac96-774b-bcce-b302099a8057")
    assert missing.value.code == "job_not_found"
    with pytest.raises(ValueError, match="not JSON compliant"):
        site.enqueue("t.add", {"left": float("nan")})


def test_a_server_that_is_not_there_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobforge.client.time.sleep", lambda _: None)
    with pytest.raises(jf.NotAnswered, match=r"nothing answers at http://127.0.0.1:9.*\nhint: `jobforge up`"):
        jf.Client("http://127.0.0.1:9").get("x")
    with pytest.raises(ValueError, match="no address of a server"):
        jf.Client("localhost:8080")


def test_the_same_from_asyncio_in_one_loop_after_another(site: Site) -> None:
    client = jf.AsyncClient(site.server.url)

    async def work() -> list[str]:
        ref = await client.enqueue("t.add", {"left": 1}, queue=site.queue)
        assert (await ref.info()).status == "queued"
        assert (await ref.cancel()).status == "canceled"
        with pytest.raises(jf.JobCanceled):
            await ref.result()
        assert (await ref.retry()).status == "queued"
        with pytest.raises(jf.NotEnded):
            await ref.result(timeout=timedelta(seconds=0.1))
        many = await client.enqueue_many([jf.new_job("t.add", {"left": n}, queue=site.queue) for n in range(3)])
        listed = [job.id async for job in client.jobs(queue=site.queue)]
        assert {each.id for each in many} <= set(listed)
        assert (await client.page(queue=site.queue, limit=1)).next is not None
        return listed

    assert len(asyncio.run(work())) == 4
    assert len(asyncio.run(work())) == 8


def test_a_call_is_repeated_while_the_server_restarts(own_server: Site) -> None:
    ref = own_server.enqueue("t.add", {"left": 1})

    async def through_a_restart() -> jf.JobInfo:
        own_server.server.stop()
        restart = asyncio.create_task(asyncio.to_thread(own_server.server.start))
        async with jf.AsyncClient(own_server.server.url) as client:
            job = await client.get(ref.id)
        await restart
        return job

    assert asyncio.run(through_a_restart()).id == ref.id
