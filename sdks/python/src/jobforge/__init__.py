"""Durable background jobs that can always say what they are doing.

import jobforge as jf

app = jf.JobForge()  # JOBFORGE_URL, JOBFORGE_TOKEN

@app.task("email.send")
async def send_email(ctx: jf.Context, to: str) -> str: ...

job = await send_email.enqueue("a@example.org")
await app.work()
"""

from .app import JobForge
from .client import AsyncClient, Client
from .codec import Payload
from .context import Context, JobFacts, StopReason
from .errors import (
    Dead,
    Failed,
    InvalidPayload,
    JobCanceled,
    JobFailed,
    JobForgeError,
    NotAnswered,
    NotEnded,
    PayloadTooLarge,
    Refused,
    Retry,
    Snooze,
    Stopped,
)
from .options import JobFilter, JobOptions, NewJob, RetryPolicy, new_job
from .refs import JobRef, SyncJobRef
from .task import Task
from .views import ErrorInfo, Items, JobInfo, JobPage, Progress

__all__ = [
    "AsyncClient",
    "Client",
    "Context",
    "Dead",
    "ErrorInfo",
    "Failed",
    "InvalidPayload",
    "Items",
    "JobCanceled",
    "JobFacts",
    "JobFailed",
    "JobFilter",
    "JobForge",
    "JobForgeError",
    "JobInfo",
    "JobOptions",
    "JobPage",
    "JobRef",
    "NewJob",
    "NotAnswered",
    "NotEnded",
    "Payload",
    "PayloadTooLarge",
    "Progress",
    "Refused",
    "Retry",
    "RetryPolicy",
    "Snooze",
    "StopReason",
    "Stopped",
    "SyncJobRef",
    "Task",
    "new_job",
]
