"""A worker in bad times: killed, frozen, cut off, not answered. Nothing is lost, and nothing runs twice at once."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from signal import SIGCONT, SIGKILL, SIGSTOP

from conftest import LEASE_S, Line, LossyProxy, Site, WorkerProcess, until

import jobforge as jf


def test_the_job_of_a_killed_worker_runs_elsewhere(site: Site) -> None:
    first = site.worker()
    job = site.enqueue("t.sleep", {"seconds": 6})
    until(lambda: site.noted(job, "begins"), "it runs")
    first.send(SIGKILL)
    site.worker()
    assert job.result() == "slept"
    assert [line.pid for line in site.diary() if line.what == "ends"] != [first.pid]


def test_a_worker_that_was_frozen_stops_its_jobs_and_begins_anew(site: Site) -> None:
    frozen = site.worker()
    job = site.enqueue("t.sleep", {"seconds": 10})
    until(lambda: site.noted(job, "begins"), "it runs")
    frozen.send(SIGSTOP)
    site.worker()
    until(lambda: len([line for line in site.diary() if line.what == "begins"]) == 2, "it runs elsewhere")
    frozen.send(SIGCONT)
    frozen.until_logs("has lost its lease")
    frozen.until_logs("is live", times=2)
    assert job.result() == "slept"
    ended = [line for line in site.diary() if line.what == "ends"]
    assert [line.pid != frozen.pid for line in ended] == [True]
    assert site.noted(job, "stopped lost")


def test_a_worker_that_is_cut_off_stops_its_jobs_before_others_may_begin(site: Site, proxy: LossyProxy) -> None:
    site.worker(url=proxy.url)
    job = site.enqueue("t.sleep", {"seconds": 8})
    until(lambda: site.noted(job, "begins"), "it runs")
    proxy.cut_off = True
    cut_off = time.monotonic()
    until(lambda: site.noted(job, "stopped lost"), "it was stopped")
    stopped = time.monotonic()
    assert job.info().status == "running"
    assert stopped - cut_off < LEASE_S
    site.worker()
    assert job.result() == "slept"
    assert overlaps(site.diary(), {}) == []


def test_results_that_could_not_be_reported_are_reported_after_a_restart_of_the_server(own_server: Site) -> None:
    site = own_server
    worker = site.worker()
    jobs = [site.enqueue("t.sleep", {"seconds": 1}) for _ in range(4)]
    until(lambda: all(site.noted(job, "begins") for job in jobs), "all run")
    site.server.kill()
    until(lambda: all(site.noted(job, "ends") for job in jobs), "all ended")
    site.server.start()
    assert [job.result() for job in jobs] == ["slept"] * 4
    assert [job.info().attempts for job in jobs] == [1] * 4
    assert "is live" in worker.log


def test_jobs_that_were_given_away_unheard_are_asked_for(site: Site, proxy: LossyProxy) -> None:
    proxy.lose = lambda path: path == "claim" and proxy.lost.count("claim") < 3
    jobs = [site.enqueue("t.add", {"left": n}) for n in range(10)]
    site.worker(url=proxy.url)
    assert [job.result() for job in jobs] == [n + 1 for n in range(10)]
    assert proxy.lost == ["claim"] * 3
    assert [job.info().attempts for job in jobs] == [1] * 10


def test_a_result_whose_answer_was_lost_is_sent_again(site: Site, proxy: LossyProxy) -> None:
    proxy.lose = lambda path: path == "results" and proxy.lost.count("results") < 3
    worker = site.worker(url=proxy.url)
    jobs = [site.enqueue("t.add", {"left": n}) for n in range(10)]
    assert [job.result() for job in jobs] == [n + 1 for n in range(10)]
    until(lambda: proxy.seen.count("results") > 3, "it was sent again")
    assert proxy.lost == ["results"] * 3
    assert worker.stop() == 0
    assert "came too late" not in worker.log


def test_a_registration_whose_answer_was_lost_makes_one_worker(site: Site, proxy: LossyProxy) -> None:
    proxy.lose = lambda path: path == "register" and not proxy.lost
    worker = site.worker(url=proxy.url).until_live()
    assert proxy.seen.count("register") == 2
    assert site.enqueue("t.add", {"left": 1}).result() == 2
    assert worker.stop() == 0


def test_a_worker_whose_signals_are_lost_still_finds_work_at_once(site: Site, proxy: LossyProxy) -> None:
    proxy.lose = lambda path: path == "signals"
    site.worker(url=proxy.url).until_live()
    until(lambda: "claim" in proxy.seen, "it asks")
    began = time.monotonic()
    assert site.enqueue("t.add", {"left": 1}).result() == 2
    assert time.monotonic() - began < 10


def test_a_cancel_is_heard_of_without_signals(site: Site, proxy: LossyProxy) -> None:
    proxy.lose = lambda path: path == "signals"
    site.worker(url=proxy.url)
    job = site.enqueue("t.sleep", {"seconds": 120})
    until(lambda: site.noted(job, "begins"), "it runs")
    job.cancel()
    until(lambda: site.noted(job, "stopped canceled"), "it was stopped")


def test_with_workers_that_are_killed_at_random_nothing_is_lost_and_nothing_runs_twice_at_once(site: Site) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    draw = random.Random(seed)
    jobs: list[jf.SyncJobRef[object]] = []
    for _ in range(60):
        job_type = draw.choice(["t.sleep", "t.sync_sleep"])
        jobs.append(site.enqueue(job_type, {"seconds": round(draw.uniform(0.05, 1.5), 2)}, max_attempts=50))
    workers = [site.worker() for _ in range(3)]
    killed: dict[int, float] = {}
    while not all(job.info().ended for job in jobs):
        time.sleep(draw.uniform(0.5, 2.0))
        if len(killed) < 6:
            place = draw.randrange(len(workers))
            kill(workers[place], killed)
            workers[place] = site.worker()
    assert [job.info().status for job in jobs] == ["succeeded"] * len(jobs), f"seed {seed}"
    assert len(killed) == 6, f"seed {seed}"
    assert overlaps(site.diary(), killed) == [], f"seed {seed}"
    for job in jobs:
        assert len([line for line in site.diary() if line.job == job.id and line.what == "ends"]) >= 1, f"seed {seed}"


def kill(worker: WorkerProcess, killed: dict[int, float]) -> None:
    worker.send(SIGKILL)
    worker.process.wait()
    killed[worker.pid] = time.monotonic()


def overlaps(diary: list[Line], killed: dict[int, float]) -> list[str]:
    """Attempts of one job that began before the one before had ended, or its process."""
    found = []
    for job in {line.job for line in diary}:
        lines = [line for line in diary if line.job == job]
        begins = [line for line in lines if line.what == "begins"]
        for before, after in pairwise(begins):
            ends = [line.at for line in lines if line.fence == before.fence and line is not before]
            over = min([*ends, killed.get(before.pid, float("inf"))])
            if after.at < over:
                found.append(f"{job}: fence {before.fence} until {over}, fence {after.fence} from {after.at}")
    return found
