"""Helpers for tests of applications: handlers without a server, what was enqueued, and a real server if wanted."""

from .contexts import context
from .recorder import Recorder, assert_enqueued, recording
from .server import TestServer

__all__ = ["Recorder", "TestServer", "assert_enqueued", "context", "recording"]
