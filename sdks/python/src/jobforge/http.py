"""How this library speaks HTTP: where to connect, what every request carries, and what an answer means."""

from __future__ import annotations

import json
import ssl
from functools import cached_property
from importlib.metadata import version
from typing import Any

import httpx2

from .errors import NotAnswered, Refused

SDK = f"jobforge-python/{version('jobforge')}"
ANSWER_TIME_S = 15.0
"""How long a server may take to answer."""

_UNIX = "unix:"
# The server closes what has been idle for 15 s; a connection that is closed here before cannot break on the way.
_LIMITS = httpx2.Limits(keepalive_expiry=10.0)
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


class Address:
    """Where the server is: ``http://host:port``, ``https://…``, or ``unix:/path/to/jobforge.sock``."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self.token = token
        self._socket = url[len(_UNIX) :] if url.startswith(_UNIX) else None
        if self._socket is None and not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no address of a server: give http://…, https://… or unix:/path/to/socket")

    def connect(self) -> httpx2.Client:
        """A client for one thread, which keeps its connections."""
        transport = httpx2.HTTPTransport(uds=self._socket) if self._socket else None
        return httpx2.Client(**self._options(), transport=transport)

    def connect_async(self) -> httpx2.AsyncClient:
        """A client for one event loop, which keeps its connections."""
        transport = httpx2.AsyncHTTPTransport(uds=self._socket) if self._socket else None
        return httpx2.AsyncClient(**self._options(), transport=transport)

    def _options(self) -> dict[str, Any]:
        return {
            # A socket has no host, but HTTP wants one.
            "base_url": "http://localhost" if self._socket else self.url,
            "headers": self._headers(),
            "timeout": ANSWER_TIME_S,
            "limits": _LIMITS,
            "verify": self._trust,
        }

    @cached_property
    def _trust(self) -> ssl.SSLContext | bool:
        """Whom to trust, read once: reading all certificates takes longer than most calls."""
        return httpx2.create_ssl_context() if self.url.startswith("https://") else False

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": SDK, "JobForge-Protocol": "1"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers


def body_of(value: Any) -> bytes:
    """A request's body. Raises :class:`ValueError` for numbers that JSON does not have."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


JSON_BODY = {"Content-Type": "application/json"}


def answer_of(response: httpx2.Response) -> Any:
    """What the server answered, or the refusal that it is."""
    if response.is_success:
        try:
            return response.json() if response.content else None
        except ValueError as fault:
            raise NotAnswered(f"the answer of {response.url} is no JSON: {fault}", sent=True) from fault
    problem: dict[str, Any] = {}
    if "json" in response.headers.get("content-type", ""):
        try:
            read = response.json()
            problem = read if isinstance(read, dict) else {}
        except ValueError:
            # Not the server's own words, but something between that answers for it.
            problem = {}
    raise Refused(
        response.status_code,
        problem.get("code", f"http_{response.status_code}"),
        problem.get("detail") or f"the server answered {response.status_code} {response.reason_phrase}",
        request_id=response.headers.get("x-request-id"),
        errors=problem.get("errors"),
        existing=problem.get("existing"),
        retry_after=_seconds(response.headers.get("retry-after")),
    )


def not_answered(url: str, fault: httpx2.HTTPError) -> NotAnswered:
    """What a broken exchange means."""
    why = str(fault) or type(fault).__name__
    if isinstance(fault, _NEVER_SENT):
        return NotAnswered(
            f"nothing answers at {url}: {why}\nhint: `jobforge up` starts a server; JOBFORGE_URL says where it is",
            sent=False,
        )
    return NotAnswered(f"the server at {url} did not answer: {why}", sent=True)


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None
