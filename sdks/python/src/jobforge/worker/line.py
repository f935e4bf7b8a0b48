"""Calls of the worker protocol: from the event loop, and from threads that no handler can block."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2

from ..http import ANSWER_TIME_S, JSON_BODY, Address, answer_of, body_of, not_answered

if TYPE_CHECKING:
    from typing_extensions import Self


PAYLOAD_TIME_S = 60.0
"""How long a server may take between two parts of a large payload."""


class AsyncLine:
    """Connections of the event loop: claims and results."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._http = address.connect_async()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def post(self, call: str, body: dict[str, Any] | bytes, *, patience: float = ANSWER_TIME_S) -> Any:
        """Sends a call, whose body may be written already, and reads its answer.

        Raises :class:`Refused` or :class:`NotAnswered`.
        """
        written = body if isinstance(body, bytes) else body_of(body)
        try:
            response = await self._http.post(f"/v1/worker/{call}", content=written, headers=JSON_BODY, timeout=patience)
        except httpx2.HTTPError as fault:
            raise not_answered(self._address.url, fault) from fault
        return answer_of(response)

    async def payload(self, job_id: str) -> bytes:
        """The payload of a job, as it was enqueued; raises as :meth:`post`."""
        try:
            response = await self._http.get(f"/v1/worker/payload/{quote(job_id, safe='')}", timeout=PAYLOAD_TIME_S)
        except httpx2.HTTPError as fault:
            raise not_answered(self._address.url, fault) from fault
        if not response.is_success:
            answer_of(response)
        return response.content


class ThreadLine:
    """A connection of one thread."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.http = address.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def post(self, call: str, body: dict[str, Any], *, patience: float = ANSWER_TIME_S) -> Any:
        """As :meth:`AsyncLine.post`."""
        try:
            response = self.http.post(f"/v1/worker/{call}", content=body_of(body), headers=JSON_BODY, timeout=patience)
        except httpx2.HTTPError as fault:
            raise not_answered(self._address.url, fault) from fault
        return answer_of(response)
