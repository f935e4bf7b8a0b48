"""The README, read and run: whoever copies its snippets gets what they promise."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE_S, SETTINGS, TESTS, WorkerProcess, surroundings, until

import jobforge as jf
from jobforge.testing import TestServer

README = TESTS.parent / "README.md"
FENCE = re.compile(r"^ *```(?P<language>.*)\n(?P<text>(?:.*\n)*?) *```$", re.MULTILINE)
FILE_NAME = re.compile(r"^`(?P<name>[\w.]+)`:\n\n\Z", re.MULTILINE)
# Shell is typed by the test of the documentation, with the program beside it.
LANGUAGES = {"python", "console"}
NAMES = ["Grace", "Edsger", "Barbara"]
CRASHES_AT = 40


@dataclass
class Snippet:
    """A block of Python."""

    text: str
    line: int
    """Where its text begins in the README."""
    file: str | None
    """The name that stands above it, if it is a file."""

    async def run(self, namespace: dict[str, Any]) -> None:
        """Executes it, and the tests that it defines."""
        before = set(namespace)
        # The lines before it make tracebacks point into the README.
        text = "\n" * (self.line - 1) + self.text
        code = compile(text, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        await _awaited(eval(code, namespace))
        for name in [name for name in namespace if name not in before and name.startswith("test_")]:
            await _awaited(namespace[name]())


async def _awaited(given: object) -> None:
    if inspect.isawaitable(given):
        await given


def snippets() -> list[Snippet]:
    """All blocks of Python."""
    readme = README.read_text()
    blocks = list(FENCE.finditer(readme))
    assert {block["language"] for block in blocks} == LANGUAGES
    assert len(blocks) * 2 == readme.count("```"), "a block is not understood"
    found = []
    for block in blocks:
        if block["language"] == "python":
            file = FILE_NAME.search(readme, 0, block.start())
            line = readme.count("\n", 0, block.start("text")) + 1
            found.append(Snippet(block["text"], line, file["name"] if file else None))
    return found


class Taken:
    """What the snippets take for granted: names that an application would have."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.pages: list[int] = []
        self._namespace = namespace
        # The file's block sees a module of its name, and so does not run itself as a program.
        namespace.update(
            __name__="tasks",
            timedelta=timedelta,
            names=NAMES,
            Report=Report,
            render_page=self.render_page,
            sign_up=self.sign_up,
        )

    async def render_page(self, account_id: int, page: int) -> None:
        """Renders a page, and crashes once."""
        crashes = page == CRASHES_AT and page not in self.pages
        self.pages.append(page)
        if crashes:
            raise jf.Retry("crashed", after=timedelta(0))

    async def sign_up(self, address: str) -> None:
        """Enqueues a mail."""
        await self._namespace["app"].client.enqueue("email.send", {"to": address})


@dataclass
class Report:
    """What a handler of the README returns."""

    rows: int


@contextmanager
def working(directory: Path, environment: dict[str, str]) -> Iterator[None]:
    """Runs a worker as the README starts it."""
    worker = WorkerProcess(directory / "worker.log", 10, environment, app="tasks:app", directory=directory)
    try:
        yield
        assert worker.stop() == 0, worker.log
    finally:
        worker.kill()


async def run_all(taken: Taken, namespace: dict[str, Any]) -> None:
    """Runs all snippets one after the other, and then what they have declared but not run."""
    for snippet in snippets():
        await snippet.run(namespace)
    # By the README's own test, which goes on from a checkpoint.
    assert taken.pages == [98, 99]
    taken.pages.clear()
    async with namespace["app"] as app:
        worker = app.worker(queues=["reports"])
        works = asyncio.create_task(worker.run())
        report = await namespace["build_report"].enqueue(7, "2026-08")
        assert await report.result(timedelta(seconds=PATIENCE_S)) == Report(rows=100)
        worker.stop()
        await works
    assert taken.pages == [*range(CRASHES_AT + 1), *range(CRASHES_AT, 100)], "it goes on after a crash"


def test_every_snippet_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {snippet.file: snippet.text for snippet in snippets() if snippet.file}
    assert set(files) == {"tasks.py"}
    (tmp_path / "tasks.py").write_text(files["tasks.py"])
    with TestServer(environment=SETTINGS) as server, jf.Client(server.url) as client:
        environment = surroundings(server.url)
        monkeypatch.setenv("JOBFORGE_URL", server.url)
        monkeypatch.delenv("JOBFORGE_TOKEN", raising=False)
        with working(tmp_path, environment):
            program = subprocess.run(
                [sys.executable, "tasks.py"],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            assert re.fullmatch(r"[0-9a-f-]{36} Hello, Ada!\n", program.stdout)
            namespace: dict[str, Any] = {}
            asyncio.run(run_all(Taken(namespace), namespace))
            [later] = client.jobs(type="hello.greet", idempotency_key="greet-ada")
            until(lambda: not others_of(client, later), "all greetings but the one for later have ended")
        greetings = [client.get(job.id) for job in client.jobs(type="hello.greet")]
        types = {job.type for job in client.jobs()}
    assert (later.status, later.priority) == ("queued", -1)
    assert later.run_at - later.created_at > timedelta(minutes=59)
    # By the program, by the snippets about enqueuing, and by the one of them that greets many.
    results = Counter(job.result for job in greetings if job.status == "succeeded")
    assert results == {"Hello, Ada!": 3, **{f"Hello, {name}!": 1 for name in NAMES}}
    assert Counter(job.payload.get("times") for job in greetings) == {None: 6, 5: 1}
    # What the README's tests enqueue is recorded, and sent to no server.
    assert "email.send" not in types


def others_of(client: jf.Client, job: jf.JobInfo) -> list[jf.JobInfo]:
    """The jobs that have not ended, beside this one."""
    return [other for other in client.jobs(status=["queued", "running"]) if other.id != job.id]
