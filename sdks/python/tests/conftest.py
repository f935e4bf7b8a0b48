"""What the tests share: servers, worker processes, and a proxy that loses answers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from uuid import uuid4

import httpx2
import pytest

import jobforge as jf
from jobforge.testing import TestServer

TESTS = Path(__file__).parent
PATIENCE_S = 60.0
LEASE_S = 4.0

# Quick, so that what takes minutes in earnest takes seconds here.
SETTINGS = {
    "JOBFORGE_WORKER_LEASE_MS": str(int(LEASE_S * 1000)),
    "HEARTBEAT_INTERVAL_MS": "500",
    "HEARTBEAT_MAX_INTERVAL_MS": "1000",
    "HEARTBEAT_THRESHOLD_MS": "5000",
    "HEARTBEAT_MAX_MISSES": "1000",
    "WATCHDOG_CHECK_INTERVAL_MS": "500",
    "JOBFORGE_HTTP_REQUESTS_PER_SECOND": "0",
}


def until(true: Callable[[], bool], what: str) -> None:
    """Waits until a condition holds."""
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < ends, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.02)


def surroundings(url: str) -> dict[str, str]:
    """The environment of a process that speaks to this server, whatever ours says of another."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JOBFORGE_", "HEARTBEAT_"))}
    return {**kept, "JOBFORGE_URL": url}


@dataclass
class Line:
    """A line of the diary of the handlers."""

    at: float
    pid: int
    job: str
    fence: int
    what: str


class Site:
    """A queue of a server, the workers that take from it, and a client."""

    def __init__(self, server: TestServer, directory: Path, *, token: str | None = None) -> None:
        self.server = server
        self.queue = f"q-{uuid4().hex[:8]}"
        self.diary_file = directory / "diary"
        self.client = jf.Client(server.url, token)
        self._directory = directory
        self._workers: list[WorkerProcess] = []

    def enqueue(self, job_type: str, payload: object = None, **options: object) -> jf.SyncJobRef[object]:
        """Enqueues a job for the workers of this site."""
        return self.client.send(jf.new_job(job_type, payload, queue=self.queue, **options))  # type: ignore[arg-type]

    def worker(self, *, url: str | None = None, concurrency: int = 4, **environment: str) -> WorkerProcess:
        """Starts a worker process."""
        log = self._directory / f"worker-{len(self._workers)}.log"
        given = {
            **surroundings(url or self.server.url),
            "TEST_QUEUE": self.queue,
            "TEST_DIARY": str(self.diary_file),
            **environment,
        }
        worker = WorkerProcess(log, concurrency, given)
        self._workers.append(worker)
        return worker

    def diary(self) -> list[Line]:
        """What the handlers have noted."""
        lines = self.diary_file.read_text().splitlines() if self.diary_file.exists() else []
        found = [line.split(" ", 4) for line in lines]
        return [Line(float(at), int(pid), job, int(fence), what) for at, pid, job, fence, what in found]

    def noted(self, job: jf.SyncJobRef[object], what: str) -> bool:
        """Whether the handler of a job has noted this."""
        return any(line.job == job.id and line.what.startswith(what) for line in self.diary())

    def until_runs(self, job: jf.SyncJobRef[object]) -> None:
        """Waits until a job runs."""
        until(lambda: job.info().status == "running", f"{job} runs")

    def until_status(self, job: jf.SyncJobRef[object], *statuses: str) -> jf.JobInfo:
        """Waits until a job has one of these statuses."""
        until(lambda: job.info().status in statuses, f"{job} is {statuses}")
        return job.info()

    def close(self) -> None:
        """Ends all processes."""
        for worker in self._workers:
            worker.kill()
        self.client.close()


class WorkerProcess:
    """A worker, started as an operator starts it."""

    def __init__(
        self,
        log: Path,
        concurrency: int,
        environment: dict[str, str],
        *,
        app: str = "worker_tasks:app",
        directory: Path = TESTS,
    ) -> None:
        self.log_file = log
        command = [sys.executable, "-m", "jobforge", "worker", app, "--concurrency", str(concurrency)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=directory, env=environment, stdout=output, stderr=output)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_file.read_text(errors="replace")

    def until_logs(self, text: str, times: int = 1) -> None:
        """Waits until it has logged something."""
        until(lambda: self.log.count(text) >= times, f"{text!r} {times} times in\n{self.log}")

    def until_live(self) -> WorkerProcess:
        """Waits until it has registered."""
        self.until_logs("is live")
        return self

    def send(self, signal: Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(signal)

    def stop(self) -> int:
        """Asks it to stop, and gives its exit code."""
        self.send(SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """Kills it."""
        if self.process.poll() is None:
            self.send(SIGKILL)
            self.process.wait()


class LossyProxy:
    """Stands between a worker and its server, and loses answers: the server has done what was asked, nobody hears."""

    def __init__(self, upstream: str) -> None:
        self.lose: Callable[[str], bool] = lambda _: False
        self.cut_off = False
        """Whether nothing gets through any more."""
        self.seen: list[str] = []
        """The paths that were asked for."""
        self.lost: list[str] = []
        """Those whose answers were lost."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                proxy._pass_on(self, upstream)

            def do_GET(self) -> None:
                proxy._pass_on(self, upstream)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def _pass_on(self, asked: BaseHTTPRequestHandler, upstream: str) -> None:
        path = asked.path.partition("?")[0].removeprefix("/v1/worker/")
        self.seen.append(path)
        body = asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        if self.cut_off:
            # As a network does that loses packets: nothing is answered, and nothing refused.
            while self.cut_off:
                time.sleep(0.1)
            asked.close_connection = True
            return
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in ("host", "connection")}
        try:
            with httpx2.stream(
                asked.command, f"{upstream}{asked.path}", content=body, headers=headers, timeout=60, trust_env=False
            ) as answer:
                if path == "signals":
                    self._stream(asked, answer)
                    return
                said = answer.read()
        except (httpx2.HTTPError, OSError):
            asked.close_connection = True
            return
        if self.lose(path):
            self.lost.append(path)
            asked.close_connection = True
            return
        asked.send_response(answer.status_code)
        asked.send_header("Content-Type", answer.headers.get("content-type", "text/plain"))
        asked.send_header("Content-Length", str(len(said)))
        asked.end_headers()
        asked.wfile.write(said)

    @staticmethod
    def _stream(asked: BaseHTTPRequestHandler, answer: httpx2.Response) -> None:
        asked.close_connection = True
        asked.send_response(answer.status_code)
        asked.send_header("Content-Type", "text/event-stream")
        asked.end_headers()
        for chunk in answer.iter_raw():
            asked.wfile.write(chunk)
            asked.wfile.flush()

    def close(self) -> None:
        """Stops listening."""
        self.cut_off = False
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="session")
def shared_server() -> Iterator[TestServer]:
    """A server that nobody kills."""
    with TestServer(environment=SETTINGS) as server:
        yield server


@pytest.fixture
def site(shared_server: TestServer, tmp_path: Path) -> Iterator[Site]:
    """A queue of its own on the server that all tests share."""
    site = Site(shared_server, tmp_path)
    yield site
    site.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Site]:
    """A server that the test may kill."""
    with TestServer(environment=SETTINGS) as server:
        site = Site(server, tmp_path)
        yield site
        site.close()


@pytest.fixture
def proxy(shared_server: TestServer) -> Iterator[LossyProxy]:
    """A proxy before the server that all tests share."""
    proxy = LossyProxy(shared_server.url)
    yield proxy
    proxy.close()
