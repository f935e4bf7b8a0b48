"""The worker: takes jobs from a server and runs their handlers."""

from .worker import Ended, Worker, WorkerConfig

__all__ = ["Ended", "Worker", "WorkerConfig"]
