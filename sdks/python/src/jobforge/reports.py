"""What a handler says of its work, until the server has it."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from .clock import monotonic

LOG_BYTES = 64 * 1024
"""The newest of the log that is kept."""
LOG_LINE_BYTES = 4 * 1024
TEXT_BYTES = 4 * 1024
"""The longest message or phase."""


class Reports:
    """The reports of one attempt. Handlers write from any thread, and the heartbeats read from theirs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[str, Any] = {}
        self._unheard: dict[str, Any] = {}
        self._items = {"processed": 0, "failed": 0, "skipped": 0}
        self._log: deque[str] = deque()
        self._log_bytes = 0
        self.latest: dict[str, Any] = {}
        """Everything that was said in this attempt, the newest of each."""
        self.progressed_at = monotonic()
        """When the handler last went on."""

    def say(self, **fields: Any) -> None:
        """Takes note of progress."""
        with self._lock:
            self._say(fields)
            self.progressed_at = monotonic()

    def remark(self, message: str) -> None:
        """Sets the message in the worker's own name: that is no progress of the handler."""
        with self._lock:
            self._said["message"] = message

    def count(self, processed: int, failed: int, skipped: int) -> None:
        """Adds to the counts of items."""
        with self._lock:
            self._items["processed"] += processed
            self._items["failed"] += failed
            self._items["skipped"] += skipped
            self._say({"items": dict(self._items)})
            self.progressed_at = monotonic()

    def log(self, line: str) -> None:
        """Adds a line to the log; the newest are kept."""
        line = cut(line, LOG_LINE_BYTES)
        with self._lock:
            self._log.append(line)
            self._log_bytes += len(line.encode()) + 1
            while self._log_bytes > LOG_BYTES:
                self._log_bytes -= len(self._log.popleft().encode()) + 1
            self._say({"log": "".join(f"{line}\n" for line in self._log)})

    def _say(self, fields: dict[str, Any]) -> None:
        self._said.update(fields)
        self.latest.update(fields)

    @property
    def has_news(self) -> bool:
        """Whether something was said that the server may not have."""
        return bool(self._said or self._unheard)

    def take(self) -> dict[str, Any] | None:
        """What is to be sent: all that has not been heard, the newest of each."""
        with self._lock:
            self._unheard.update(self._said)
            self._said = {}
            return dict(self._unheard) or None

    def heard(self) -> None:
        """Takes note that the server has what was taken last."""
        with self._lock:
            self._unheard = {}


def cut(text: str, most_bytes: int) -> str:
    """A text that UTF-8 can write, with so many bytes at most."""
    written = text.encode("utf-8", "replace")
    if len(written) <= most_bytes:
        return written.decode()
    return f"{written[:most_bytes].decode('utf-8', 'ignore')}…"
