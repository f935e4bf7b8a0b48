"""The ways to a server: with a token over TCP, and over its Unix socket."""

from __future__ import annotations

from pathlib import Path
from signal import SIGKILL

import httpx2
import pytest
from conftest import SETTINGS, Site, until

import jobforge as jf
from jobforge.testing import TestServer

ADMIN = "admin-key-of-a-test"


def token(server: TestServer, *scopes: str) -> tuple[str, str]:
    """Makes a token, and gives its id and its text."""
    made = httpx2.post(
        f"{server.url}/v1/tokens",
        json={"name": "test", "scopes": scopes},
        headers={"Authorization": f"Bearer {ADMIN}"},
        trust_env=False,
    )
    assert made.status_code == 201, made.text
    return made.json()["id"], made.json()["token"]


def test_a_worker_needs_its_own_token_and_stops_when_it_is_taken_back(tmp_path: Path) -> None:
    with TestServer(environment={**SETTINGS, "ADMIN_TOKEN": ADMIN}) as server:
        site = Site(server, tmp_path, token=ADMIN)
        try:
            stranger = site.worker()
            assert stranger.process.wait(60) == 2
            assert "error: 401 token_missing" in stranger.log
            guest = site.worker(JOBFORGE_TOKEN=token(server, "enqueue")[1])
            assert guest.process.wait(60) == 2
            assert "error: 403 scope_missing" in guest.log
            token_id, text = token(server, "worker")
            worker = site.worker(JOBFORGE_TOKEN=text)
            assert site.enqueue("t.add", {"left": 1}).result() == 2
            revoked = httpx2.delete(
                f"{server.url}/v1/tokens/{token_id}", headers={"Authorization": f"Bearer {ADMIN}"}, trust_env=False
            )
            assert revoked.is_success, revoked.text
            assert worker.process.wait(60) == 2
            assert "error: 401 token_revoked" in worker.log
        finally:
            site.close()


def test_a_client_needs_a_token_and_finds_it_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with TestServer(environment={"ADMIN_TOKEN": ADMIN}) as server:
        with pytest.raises(jf.Refused) as refused:
            jf.Client(server.url).page()
        assert (refused.value.status, refused.value.code) == (401, "token_missing")
        monkeypatch.setenv("JOBFORGE_URL", server.url)
        monkeypatch.setenv("JOBFORGE_TOKEN", ADMIN)
        assert jf.Client().page().jobs == []


def test_over_the_socket_the_death_of_a_worker_is_seen_without_waiting_for_its_lease(tmp_path: Path) -> None:
    with TestServer(environment={**SETTINGS, "JOBFORGE_WORKER_LEASE_MS": "3600000"}) as server:
        site = Site(server, tmp_path)
        try:
            url = f"unix:{server.data_dir}/jobforge.sock"
            first = site.worker(url=url)
            job = site.enqueue("t.sleep", {"seconds": 5})
            until(lambda: site.noted(job, "begins"), "it runs")
            first.send(SIGKILL)
            site.worker(url=url)
            assert job.result() == "slept"
            with jf.Client(url) as client:
                assert client.get(job.id).attempts == 2
        finally:
            site.close()
