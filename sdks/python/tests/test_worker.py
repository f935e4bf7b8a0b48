"""A worker in good times: what handlers do is what the server tells of them."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from signal import SIGTERM

import httpx2
import pytest
from conftest import LossyProxy, Site, until

import jobforge as jf


def test_async_and_sync_handlers_give_results(site: Site) -> None:
    site.worker()
    jobs = [site.enqueue("t.add", {"left": n}) for n in range(20)]
    sync = site.enqueue("t.sync_add", {"left": 3, "right": 4})
    assert [job.result() for job in jobs] == [n + 1 for n in range(20)]
    assert sync.result() == 7


def test_what_a_handler_reports_is_seen_while_it_runs(site: Site) -> None:
    site.worker()
    job = site.enqueue("t.report", {"seconds": 30})
    until(lambda: job.info().progress.percent == 40, "progress")
    info = job.info()
    assert info.progress == jf.Progress(40, "half way", "middle")
    assert info.items == jf.Items(processed=3, failed=1)
    logs = httpx2.get(f"{site.server.url}/v1/jobs/{job.id}/logs", trust_env=False).text
    assert "page 1\\npage 2\\n" in logs
    job.cancel()


def test_a_later_attempt_goes_on_from_the_checkpoint(site: Site) -> None:
    site.worker()
    job = site.enqueue("t.resume")
    assert job.result() == 7
    assert job.info().attempts == 2


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ("retry", "queued", "busy"),
        ("failed", "failed", "month"),
        ("dead", "dead", "dead"),
        ("crash", "queued", "KeyError"),
    ],
)
def test_a_handler_says_how_its_attempt_ended(site: Site, how: str, status: str, kind: str) -> None:
    site.worker()
    job = site.enqueue("t.end", {"how": how}, retry=jf.RetryPolicy(base=timedelta(hours=1)))
    until(lambda: job.info().error is not None, "the attempt ended")
    info = job.info()
    assert info.error is not None
    assert (info.status, info.error.kind) == (status, kind)
    if how == "retry":
        assert info.error.details == {"host": "a"}
        assert info.run_at - info.created_at > timedelta(minutes=55)
    if how == "crash":
        assert 'raise KeyError("no such key")' in info.error.details["stack"]


def test_a_snoozed_job_costs_no_attempt(site: Site) -> None:
    site.worker()
    job = site.enqueue("t.end", {"how": "snooze"})
    until(lambda: job.info().run_at - job.info().created_at > timedelta(minutes=55), "it was snoozed")
    assert (job.info().status, job.info().attempts) == ("queued", 0)


@pytest.mark.parametrize(
    ("job_type", "payload", "kind"),
    [
        ("t.add", {"left": "one"}, "invalid_payload"),
        ("t.odd", {"what": "object"}, "bad_result"),
        ("t.odd", {"what": "large"}, "bad_result"),
        ("t.odd", {"what": "surrogate"}, "bad_result"),
    ],
)
def test_what_no_other_attempt_would_mend_fails_at_once(site: Site, job_type: str, payload: object, kind: str) -> None:
    site.worker()
    good = [site.enqueue("t.add", {"left": n}) for n in range(5)]
    job = site.enqueue(job_type, payload)
    with pytest.raises(jf.JobFailed) as failed:
        job.result()
    assert (failed.value.job.status, failed.value.kind) == ("failed", kind)
    # A result that the server does not take holds up no others.
    assert [each.result() for each in good] == [1, 2, 3, 4, 5]


def test_a_report_that_the_server_refuses_costs_neither_its_job_nor_others_their_heartbeats(site: Site) -> None:
    worker = site.worker()
    other = site.enqueue("t.report", {"seconds": 30})
    odd = site.enqueue("t.odd_report", max_attempts=1)
    with pytest.raises(jf.JobFailed) as failed:
        odd.result()
    assert (failed.value.job.status, failed.value.message) == ("dead", "as it should be")
    assert failed.value.job.attempts == 1
    assert "what job" in worker.log
    until(lambda: other.info().progress.percent == 40, "progress of the other")
    assert other.info().status == "running"
    other.cancel()


@pytest.mark.parametrize("job_type", ["t.sleep", "t.sync_sleep"])
def test_a_canceled_job_is_stopped_within_moments(site: Site, job_type: str) -> None:
    worker = site.worker()
    job = site.enqueue(job_type, {"seconds": 120})
    until(lambda: site.noted(job, "begins"), "it runs")
    job.cancel()
    until(lambda: site.noted(job, "stopped canceled"), "it was stopped")
    assert job.info().status == "canceled"
    assert site.enqueue("t.add", {"left": 1}).result() == 2
    assert "came too late" not in worker.log


@pytest.mark.parametrize(
    ("job_type", "bound", "kind"),
    [
        ("t.sleep", "timeout", "timeout"),
        ("t.sync_sleep", "timeout", "timeout"),
        ("t.sleep", "progress_timeout", "no_progress"),
    ],
)
def test_a_handler_that_takes_too_long_is_stopped_by_its_worker(
    site: Site, job_type: str, bound: str, kind: str
) -> None:
    site.worker()
    job = site.enqueue(job_type, {"seconds": 120}, max_attempts=1, **{bound: timedelta(seconds=1)})
    with pytest.raises(jf.JobFailed) as failed:
        job.result()
    assert (failed.value.job.status, failed.value.kind) == ("dead", kind)
    assert site.noted(job, f"stopped {kind}")


def test_a_handler_that_ignores_that_it_was_stopped_is_told_of(site: Site) -> None:
    worker = site.worker()
    job = site.enqueue("t.stubborn", {"seconds": 60})
    until(lambda: site.noted(job, "begins"), "it runs")
    job.cancel()
    worker.until_logs("ignores that it was asked to stop")
    until(lambda: "stop_ignored_at" in job.info().raw["attempts_made"][-1], "people see that")


def test_a_blocked_event_loop_is_seen_and_costs_neither_lease_nor_job(site: Site) -> None:
    worker = site.worker()
    job = site.enqueue("t.block", {"seconds": 9})
    pattern = re.compile(r"event loop blocked since \d\d:\d\d:\d\d UTC, at worker_tasks.py:\d+ in block")
    until(lambda: pattern.fullmatch(job.info().progress.message or "") is not None, "it is told of")
    assert job.result() == "blocked"
    info = job.info()
    assert (info.attempts, info.progress.message) == (1, "about to block")
    assert "has lost its lease" not in worker.log
    assert "event loop was blocked for 9 s" in worker.log


def test_a_handler_that_computes_without_pause_keeps_its_lease(site: Site) -> None:
    worker = site.worker()
    job = site.enqueue("t.spin", {"seconds": 8})
    assert job.result() == "spun"
    assert job.info().attempts == 1
    assert "has lost its lease" not in worker.log


def test_a_worker_that_stops_lets_its_jobs_finish(site: Site) -> None:
    worker = site.worker(SHUTDOWN_GRACE_MS="60000")
    jobs = [site.enqueue(job_type, {"seconds": 3}) for job_type in ("t.sleep", "t.sync_sleep")]
    until(lambda: all(site.noted(job, "begins") for job in jobs), "both run")
    later = site.enqueue("t.add", {"left": 1})
    assert worker.stop() == 0
    assert [job.info().status for job in jobs] == ["succeeded", "succeeded"]
    assert later.info().status in ("queued", "succeeded")
    assert "has left" in worker.log


def test_a_worker_whose_grace_is_over_gives_its_jobs_back(site: Site) -> None:
    worker = site.worker(SHUTDOWN_GRACE_MS="500")
    jobs = [site.enqueue(job_type, {"seconds": 60}) for job_type in ("t.sleep", "t.sync_sleep")]
    until(lambda: all(site.noted(job, "begins") for job in jobs), "both run")
    assert worker.stop() == 0
    for job in jobs:
        info = job.info()
        assert (info.status, info.attempts, info.raw["misses"]) == ("queued", 0, 0)
        assert site.noted(job, "stopped shutdown")


def test_a_handler_that_does_not_stop_ends_with_its_process(site: Site) -> None:
    worker = site.worker(SHUTDOWN_GRACE_MS="0")
    job = site.enqueue("t.stubborn", {"seconds": 300})
    until(lambda: site.noted(job, "begins"), "it runs")
    worker.send(SIGTERM)
    assert worker.process.wait(60) == 1
    assert "has not stopped" in worker.log
    assert site.until_status(job, "queued").attempts <= 1


def test_a_worker_that_is_told_to_restart_finishes_and_begins_anew(site: Site) -> None:
    worker = site.worker().until_live()
    job = site.enqueue("t.sleep", {"seconds": 3})
    until(lambda: site.noted(job, "begins"), "it runs")
    worker_id = job.info().worker
    told = httpx2.post(
        f"{site.server.url}/v1/workers/{worker_id}/restart",
        json={},
        trust_env=False,
    )
    assert told.status_code == 202, told.text
    worker.until_logs("is live", times=2)
    assert job.result() == "slept"
    assert job.info().attempts == 1
    assert site.enqueue("t.add", {"left": 1}).result() == 2


def test_the_log_tells_of_heartbeats_and_the_process_can_be_found(site: Site) -> None:
    worker = site.worker(WORKER_NAME="night shift").until_live()
    assert re.search(r"Heartbeat: worker worker-[0-9a-f]{8} on \S+ is live and renews its lease of 4 s", worker.log)
    with open(f"/proc/{worker.pid}/cmdline", "rb") as told:
        assert b"jobforge\0worker\0worker_tasks:app" in told.read()
    workers = httpx2.get(f"{site.server.url}/v1/workers", trust_env=False).json()["workers"]
    assert [each["pid"] for each in workers if each["name"] == "night shift"] == [worker.pid]


def test_an_idle_worker_asks_as_often_as_its_environment_says(site: Site, proxy: LossyProxy) -> None:
    def claims() -> int:
        return proxy.seen.count("claim")

    site.worker(
        url=proxy.url, POLL_INTERVAL_MS="100", MAX_POLL_INTERVAL_MS="200", IDLE_BACKOFF_MULTIPLIER="2"
    ).until_live()
    until(lambda: "signals" in proxy.seen and claims() > 3, "it does not hold its claims")
    before, began = claims(), time.monotonic()
    until(lambda: claims() - before >= 10, "ten claims")
    assert time.monotonic() - began > 1.5


def test_a_worker_with_a_mistake_in_its_environment_says_so(site: Site) -> None:
    worker = site.worker(HEARTBEAT_INTERVAL_MS="often")
    assert worker.process.wait(60) == 2
    assert "error: HEARTBEAT_INTERVAL_MS='often' makes no sense" in worker.log
