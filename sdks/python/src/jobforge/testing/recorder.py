"""Takes note of what would have been enqueued, in place of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from ..app import JobForge
from ..calls import Call
from ..codec import encode

T = TypeVar("T")


@dataclass
class Recorder:
    """What was enqueued, as the bodies of the requests: ``type``, ``payload``, ``queue`` and so on."""

    jobs: list[dict[str, Any]] = field(default_factory=list)
    _ids: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def of_type(self, job_type: str) -> list[dict[str, Any]]:
        """The jobs of one type, oldest first."""
        return [job for job in self.jobs if job["type"] == job_type]

    async def send(self, call: Call[T]) -> T:
        """In place of the line to a server."""
        return self.send_sync(call)

    def send_sync(self, call: Call[T]) -> T:
        """In place of the line to a server."""
        if (call.method, call.path) == ("POST", "/v1/jobs"):
            return call.read(self._enqueue(call.body))
        if (call.method, call.path) == ("POST", "/v1/jobs/many"):
            return call.read({"jobs": [self._enqueue(job) for job in call.body["jobs"]]})
        if (call.method, call.path) == ("GET", "/v1/limits"):
            # As a server answers that keeps no large payloads.
            return call.read({"payload_bytes": 1024 * 1024, "payload_store": False})
        raise AssertionError(
            f"{call.method} {call.path}: a recorder only takes jobs; jobforge.testing.TestServer runs them"
        )

    async def close(self) -> None:
        """Nothing is open."""

    def close_sync(self) -> None:
        """Nothing is open."""

    def _enqueue(self, job: dict[str, Any]) -> dict[str, Any]:
        new = str(uuid4())
        key = job.get("idempotency_key")
        if key is not None:
            known = self._ids.setdefault((job.get("tenant_id", "default"), job["type"], key), new)
            if known != new:
                return {"id": known, "created": False}
        self.jobs.append(job)
        return {"id": new, "created": True}


@contextmanager
def recording(app: JobForge) -> Iterator[Recorder]:
    """Takes note of what the application enqueues meanwhile, and enqueues nothing.

    with jobforge.testing.recording(app) as jobs:
        await sign_up("a@example.org")
    assert_enqueued(jobs, "email.send", to="a@example.org")
    """
    recorder = Recorder()
    with app.through(recorder):
        yield recorder


def assert_enqueued(recorder: Recorder, job_type: str, /, **payload: Any) -> dict[str, Any]:
    """Asserts that exactly one job of this type was enqueued whose payload has these fields, and gives it."""
    wanted = encode(payload)
    of_type = recorder.of_type(job_type)
    fitting = [job for job in of_type if _has(job["payload"], wanted)]
    if len(fitting) == 1:
        return fitting[0]
    shown = "\n".join(f"  {job['payload']}" for job in of_type) or "  none"
    raise AssertionError(
        f"{len(fitting)} jobs of type {job_type} with {wanted} were enqueued, not 1; those of this type are\n{shown}"
    )


def _has(payload: Any, wanted: dict[str, Any]) -> bool:
    return isinstance(payload, dict) and all(
        name in payload and payload[name] == value for name, value in wanted.items()
    )
