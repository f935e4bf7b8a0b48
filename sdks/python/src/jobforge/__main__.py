"""``python -m jobforge worker module:app`` runs the worker of an application."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from datetime import timedelta

from .app import JobForge, run_until_signal
from .errors import JobForgeError
from .worker import Ended

NOT_DONE = 2
"""The exit code when the command could not be carried out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line and does what it says."""
    parser = argparse.ArgumentParser(prog="python -m jobforge", description="JobForge for Python")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    worker = commands.add_parser("worker", help="run the worker of an application until SIGTERM or SIGINT")
    _describe_worker(worker)
    return _work(parser.parse_args(arguments))


def worker_command() -> int:
    """The same as ``python -m jobforge worker``, as a program of its own."""
    parser = argparse.ArgumentParser(prog="jobforge-worker", description="Run the worker of an application")
    _describe_worker(parser)
    return _work(parser.parse_args())


def _describe_worker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("app", metavar="MODULE:APP", help="where the application is, such as tasks:app")
    parser.add_argument(
        "--queue",
        action="append",
        metavar="NAME",
        help="a queue to take from, may be repeated [default: $JOBFORGE_QUEUES, or those of the tasks]",
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help="jobs to run at once, in all queues together [default: $JOBFORGE_SLOTS, or 10]",
    )
    parser.add_argument("--name", help="a label for people [default: $WORKER_NAME]")
    parser.add_argument(
        "--grace",
        type=float,
        metavar="SECONDS",
        help="time for running jobs when the worker stops [default: $SHUTDOWN_GRACE_MS, or 30 s]",
    )
    parser.add_argument("--log", default="info", metavar="LEVEL", help="log level [default: info]")


def _work(given: argparse.Namespace) -> int:
    logging.basicConfig(
        level=given.log.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    # A line for each request is no news.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        worker = _find(given.app).worker(
            queues=given.queue,
            concurrency=given.concurrency,
            grace=None if given.grace is None else timedelta(seconds=given.grace),
            name=given.name,
            ends_to_restart=True,
        )
        ended = asyncio.run(run_until_signal(worker))
    except (JobForgeError, ValueError, ImportError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        return NOT_DONE
    left = worker.running()
    logging.shutdown()
    if ended is Ended.RESTART:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    if left:
        # Handlers that do not stop must not go on once their jobs run elsewhere.
        os._exit(1)
    return 0


def _find(place: str) -> JobForge:
    module, _, name = place.partition(":")
    sys.path.insert(0, os.getcwd())
    app = getattr(importlib.import_module(module), name or "app", None)
    if not isinstance(app, JobForge):
        raise ValueError(f"{place!r} is no application: give MODULE:APP, where APP = jobforge.JobForge()")
    return app


if __name__ == "__main__":
    sys.exit(main())
