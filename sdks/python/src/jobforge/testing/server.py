"""A real server for tests, with a database in a temporary directory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from typing_extensions import Self

START_S = 60.0
"""How long a server may take to listen, on a machine that is busy with other tests."""
STOP_S = 30.0
LOOK_EVERY_S = 0.05
LOG_SHOWN = 2000


class TestServer:
    """Runs ``jobforge serve`` on a free port until it is closed, and removes everything then.

    The program is the one of ``JOBFORGE_BIN``, or else the ``jobforge`` of the path. It asks for no token, unless
    ``environment`` configures one.

        with jobforge.testing.TestServer() as server:
            app = jobforge.JobForge(server.url)
    """

    # Not a class of tests, whatever its name says to pytest.
    __test__ = False

    def __init__(self, program: str | None = None, *, environment: Mapping[str, str] | None = None) -> None:
        self._program = program or os.environ.get("JOBFORGE_BIN") or shutil.which("jobforge")
        if self._program is None:
            raise FileNotFoundError(
                "the program jobforge was not found: put it into the PATH, or name it in JOBFORGE_BIN"
            )
        self._environment = dict(environment or {})
        self._directory = tempfile.TemporaryDirectory(prefix="jobforge-")
        self._process: subprocess.Popen[bytes] | None = None
        self._address = "127.0.0.1:0"
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it answers; the same after a restart."""
        return f"http://{self._address}"

    @property
    def data_dir(self) -> Path:
        """Where its database is, and its socket."""
        return Path(self._directory.name) / "data"

    @property
    def log(self) -> Path:
        """Where it writes what it does."""
        return Path(self._directory.name) / "server.log"

    def start(self) -> None:
        """Starts it, or starts it again, and waits until it listens."""
        begins = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), "serve", "--listen", self._address, "--data-dir", str(self.data_dir)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory.name,
                env=self._own_environment(),
            )
        ends = time.monotonic() + START_S
        while time.monotonic() < ends:
            if self._process.poll() is not None:
                break
            self._address = self._listens_at(begins) or self._address
            if not self._address.endswith(":0") and self._is_ready():
                return
            time.sleep(LOOK_EVERY_S)
        shown = self.log.read_text(errors="replace")[-LOG_SHOWN:]
        self.kill()
        raise RuntimeError(f"{self._program} serve did not come to listen; its log ends with\n{shown}")

    def stop(self) -> None:
        """Lets it end in good order. What it knows is there when it is started again."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """Ends it at once, as a crash does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Ends it and removes what it has stored."""
        self.stop()
        self._directory.cleanup()

    def _own_environment(self) -> dict[str, str]:
        # What the surroundings say of another server is not for this one.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JOBFORGE_", "DATABASE_"))}
        return {**kept, **self._environment}

    def _listens_at(self, begins: int) -> str | None:
        for line in self.log.read_bytes()[begins:].decode(errors="replace").splitlines():
            try:
                address = json.loads(line).get("address")
            except ValueError:
                continue
            if address:
                return str(address)
        return None

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=1.0, trust_env=False).is_success
        except httpx2.HTTPError:
            return False
