"""The media worker with a real ffmpeg, and in parts with what its sister in Rust has captured of one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jobforge as jf
import pytest
from jobforge.codec import decode, encode
from jobforge.testing import TestServer, context
from media_qc import fetch
from media_qc.analyze import truncation
from media_qc.job import Checks, MediaQc
from media_qc.measure import LogReader
from media_qc.probe import parse
from media_qc.report import Report, judge
from media_qc.settings import Settings
from media_qc.worker import examine, media_qc

CAPTURED = Path(__file__).parent.parent / "media-qc" / "tests" / "captured"
LOCAL = Settings(private_hosts=True)
PATIENCE_S = 60.0


def film(path: Path, *, seconds: float = 3, black: tuple[float, float] | None = None) -> Path:
    """Makes a film with moving pictures and a tone."""
    picture = f"testsrc2=size=320x180:rate=25:duration={seconds}"
    if black:
        picture += f",drawbox=color=black:t=fill:enable='between(t,{black[0]},{black[1]})'"
    sound = f"sine=frequency=1000:duration={seconds}"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "good.mp4")


def check(source: object, settings: Settings = LOCAL, ctx: jf.Context | None = None, **checks: Any) -> Report:
    return asyncio.run(examine(ctx or context(), MediaQc(str(source), Checks(**checks)), settings))


def refused(source: object, settings: Settings = LOCAL, **checks: Any) -> tuple[str, bool]:
    """The kind of a failure, and whether another attempt is made."""
    with pytest.raises((jf.Failed, jf.Retry)) as failed:
        check(source, settings, **checks)
    return failed.value.kind, isinstance(failed.value, jf.Retry)


def test_it_says_of_captured_output_what_its_sister_says() -> None:
    report = json.loads((CAPTURED / "report.json").read_text())
    reader = LogReader()
    for line in (CAPTURED / "faulty.log").read_text().splitlines():
        reader.push(line)
    measured = reader.finish(report["measured"]["decoded_s"], has_video=True, has_audio=True)
    assert encode(measured) == report["measured"]
    assert encode(parse((CAPTURED / "probe-mp4.json").read_text())).keys() == report["media"].keys()
    limits = Checks(max_black_s=1.0, max_silence_s=1.0, max_freeze_s=2.5)
    assert encode(judge(measured, limits)) == report["reasons"]
    assert encode(decode(Report, report, strict=True)) == report


def test_a_good_film_passes_and_its_progress_tells_the_phases(good: Path) -> None:
    ctx = context()
    report = check(good, ctx=ctx)
    assert (report.verdict, report.reasons) == ("pass", [])
    assert [stream.codec for stream in report.media.video] == ["h264"]
    assert report.measured.decoded_s == pytest.approx(3, abs=0.1)
    assert report.measured.loudness is not None
    assert report.measured.loudness.integrated_lufs is not None
    assert report.tool.startswith("ffmpeg version")
    assert (ctx.reports.latest["percent"], ctx.reports.latest["phase"]) == (100, "done")


def test_black_is_found_and_judged(tmp_path: Path) -> None:
    report = check(film(tmp_path / "black.mp4", seconds=5, black=(1, 3.5)), max_freeze_s=None)
    assert report.verdict == "fail"
    assert [reason.check for reason in report.reasons] == ["black"]
    assert report.reasons[0].measured == pytest.approx(2.5, abs=0.1)


def test_what_is_no_film_fails_for_good(tmp_path: Path, good: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(good.read_bytes()[:-2000])
    assert refused(tmp_path / "nothing.mp4") == ("file_not_found", False)
    assert refused(tmp_path) == ("not_a_file", False)
    assert refused(tmp_path / "empty.mp4") == ("empty_file", False)
    assert refused(tmp_path / "text.mp4") == ("not_media", False)
    assert refused(tmp_path / "cut.mp4") == ("truncated_media", False)
    assert refused("ftp://user:secret@host/a.mp4") == ("invalid_payload", False)
    assert refused(good, black_min_s=0) == ("invalid_payload", False)
    assert refused(good, Settings(ffmpeg="no-such-ffmpeg")) == ("tool_missing", False)


def test_only_what_lies_below_the_root_is_read(tmp_path: Path, good: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(good)
    rooted = Settings(media_root=tmp_path)
    assert refused("link.mp4", rooted) == ("path_not_allowed", False)
    assert refused("../nothing.mp4", rooted) == ("path_not_allowed", False)
    assert refused("nothing.mp4", rooted) == ("file_not_found", False)


def test_small_differences_are_no_truncation() -> None:
    assert truncation(10.0, 9.2, None) is None
    assert truncation(None, 5.0, None) is None
    assert truncation(6.0, 3.04, None) == "only 3.0 s of 6.0 s can be decoded"
    assert truncation(6.0, 5.9, "partial file") == "it ends after 5.9 s of 6.0 s (partial file)"


@pytest.fixture
def web(good: Path) -> Iterator[str]:
    """A server with a film, and answers that are none."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = {
                "/film.mp4": (200, {"Content-Type": "video/mp4"}, good.read_bytes()),
                "/moved": (302, {"Location": "/film.mp4"}, b""),
                "/round": (302, {"Location": "/round"}, b""),
                "/page": (200, {"Content-Type": "application/octet-stream"}, b"<!DOCTYPE html><p>"),
                "/busy": (503, {"Retry-After": "120"}, b""),
            }.get(self.path.partition("?")[0], (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_film_is_downloaded_and_the_download_is_removed(web: str, tmp_path: Path) -> None:
    settings = Settings(private_hosts=True, temp_dir=tmp_path)
    report = check(f"{web}/moved?token=secret", settings)
    assert (report.verdict, report.source) == ("pass", f"{web}/moved")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_fails_says_whether_it_is_tried_again(web: str) -> None:
    assert refused(f"{web}/nothing") == ("http_refused", False)
    assert refused(f"{web}/round") == ("bad_redirect", False)
    assert refused(f"{web}/page") == ("not_media", False)
    assert refused(f"{web}/film.mp4", Settings(private_hosts=True, download_limit_bytes=100)) == ("too_large", False)
    assert refused("http://127.0.0.1:9/a.mp4") == ("network", True)
    with pytest.raises(jf.Retry) as busy:
        check(f"{web}/busy")
    assert (busy.value.kind, busy.value.after) == ("http_unavailable", timedelta(seconds=120))


def test_addresses_of_the_own_network_are_out_of_reach(web: str) -> None:
    assert refused(f"{web}/film.mp4", Settings()) == ("host_not_allowed", False)
    private = [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.1.1",
        "::1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "0.0.0.0",
    ]
    assert [address for address in private if fetch.is_public(address)] == []
    assert fetch.is_public("93.184.216.34")


def test_a_canceled_job_takes_its_ffmpeg_along(tmp_path: Path) -> None:
    started = tmp_path / "started"
    slow = tmp_path / "ffmpeg"
    slow.write_text(f"#!/bin/sh\n[ $1 = -version ] && exec ffmpeg -version\necho $$ > {started}\nsleep 300 & wait\n")
    slow.chmod(0o755)

    async def cancel() -> None:
        source = film(tmp_path / "film.mp4", seconds=1)
        job = asyncio.create_task(examine(context(), MediaQc(str(source)), Settings(ffmpeg=str(slow))))
        while not started.exists() or not started.read_text():
            assert not job.done(), job
            await asyncio.sleep(0.05)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job

    asyncio.run(cancel())
    leader = int(started.read_text())
    ends = time.monotonic() + PATIENCE_S
    while Path(f"/proc/{leader}").exists():
        assert time.monotonic() < ends, "ffmpeg goes on"
        time.sleep(0.05)


def test_a_hung_ffmpeg_is_killed_and_tried_again(tmp_path: Path, good: Path) -> None:
    hung = tmp_path / "ffmpeg"
    hung.write_text("#!/bin/sh\n[ $1 = -version ] && exec ffmpeg -version\nsleep 300 & wait\n")
    hung.chmod(0o755)
    assert refused(good, Settings(ffmpeg=str(hung), stall_timeout_s=0.5)) == ("tool_hung", True)


def test_the_whole_way_with_a_server_and_a_worker(good: Path) -> None:
    with TestServer() as server:
        environment = {**os.environ, "JOBFORGE_URL": server.url}
        command = [sys.executable, "-m", "jobforge", "worker", "media_qc.worker:app"]
        worker = subprocess.Popen(command, cwd=Path(__file__).parent, env=environment)
        try:
            client = jf.Client(server.url)
            passes = client.send(media_qc.request(MediaQc(str(good)))).result(timedelta(seconds=PATIENCE_S))
            assert passes.verdict == "pass"
            misspelt = client.enqueue("media.qc", {"source": str(good), "chekcs": {}}, queue="media")
            with pytest.raises(jf.JobFailed, match="'chekcs' is no field of MediaQc") as failed:
                misspelt.result(timedelta(seconds=PATIENCE_S))
            assert failed.value.kind == "invalid_payload"
        finally:
            worker.terminate()
            worker.wait(PATIENCE_S)
