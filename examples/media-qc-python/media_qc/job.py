"""The payload: which file to look at, and what it has to satisfy."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import jobforge as jf

SOURCE_LIMIT_BYTES = 4096
DURATION_LIMIT_S = 86_400.0


@dataclass(frozen=True)
class Checks:
    """What to look for, and how much of it passes. A limit of ``None`` measures without judging."""

    black_min_s: float = 0.5
    max_black_s: float | None = 2.0
    silence_min_s: float = 1.0
    silence_db: float = -60.0
    max_silence_s: float | None = 5.0
    freeze_min_s: float = 1.0
    max_freeze_s: float | None = 5.0
    loudness_target_lufs: float | None = None
    loudness_tolerance_lu: float = 1.0
    max_true_peak_dbtp: float | None = None
    max_decode_errors: int | None = 0

    def validate(self) -> None:
        """Refuses numbers that make no sense, with the field's name."""
        # ffmpeg reads a minimum of zero as "every frame", which would fill the report with single frames.
        for name in ("black_min_s", "silence_min_s", "freeze_min_s"):
            self._within(name, 0.01, DURATION_LIMIT_S)
        for name in ("max_black_s", "max_silence_s", "max_freeze_s"):
            self._within(name, 0.0, DURATION_LIMIT_S)
        self._within("silence_db", -120.0, 0.0)
        self._within("loudness_target_lufs", -70.0, 0.0)
        self._within("loudness_tolerance_lu", 0.0, 70.0)
        self._within("max_true_peak_dbtp", -70.0, 20.0)

    def _within(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if value is not None and not low <= value <= high:
            raise invalid(f"checks.{name}", f"{value:g} is not between {low:g} and {high:g}")


@dataclass(frozen=True)
class MediaQc:
    """Checks one media file: a path on the worker's machine, or an http(s) URL."""

    source: str
    checks: Checks = field(default_factory=Checks)

    def validate(self) -> None:
        """Refuses what makes no sense; another attempt would not mend it."""
        self.checks.validate()
        if not self.source:
            raise invalid("source", "is empty; give a path or an http(s) URL")
        if len(self.source.encode()) > SOURCE_LIMIT_BYTES:
            raise invalid("source", f"is longer than {SOURCE_LIMIT_BYTES} bytes")
        if "\0" in self.source:
            raise invalid("source", "contains a NUL character")
        scheme, colon, _ = self.source.partition("://")
        if colon and not self.is_url:
            # The scheme is shown, the rest is not: it may hold a password.
            raise invalid("source", f"{scheme.lower()}:// is not supported; give a path or an http(s) URL")
        if self.is_url and not urlsplit(self.source).hostname:
            raise invalid("source", "is not a URL: it names no host")

    @property
    def is_url(self) -> bool:
        """Whether it has to be downloaded."""
        return self.source.lower().startswith(("http://", "https://"))

    @property
    def label(self) -> str:
        """The source as shown to people."""
        return public_url(self.source) if self.is_url else self.source


def public_url(url: str) -> str:
    """A URL without its user, password, query and fragment, which may be secrets."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit((parts.scheme, f"{parts.hostname}{port}", parts.path, "", ""))


def invalid(name: str, problem: str) -> jf.Failed:
    """A payload that no attempt could work on."""
    return jf.Failed(f"invalid payload: {name} {problem}", kind="invalid_payload")
