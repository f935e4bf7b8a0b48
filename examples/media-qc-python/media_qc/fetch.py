"""Brings the source within reach: checks a local path, or downloads a URL to a temporary file."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

import httpx2
import jobforge as jf

from .job import MediaQc, public_url
from .settings import Settings

BEGINS_AT, ENDS_AT = 15, 20
"""Where the download begins and ends on the job's scale of progress."""
REDIRECTS = 5
RETRY_AFTER_LIMIT_S = 3600
"""The longest pause that a server may ask for before the next attempt."""
REPORT_EVERY_BYTES = 1024 * 1024
PASSING = frozenset({408, 425, 429})
NO_MEDIA = frozenset({"text/html", "application/xhtml+xml", "application/json", "application/pdf"})
"""Types that are surely no media: many servers send films as text/plain or octet-stream."""


@asynccontextmanager
async def fetched(ctx: jf.Context, job: MediaQc, settings: Settings) -> AsyncIterator[Path]:
    """The file within reach. A download is deleted afterwards."""
    if not job.is_url:
        yield find(job.source, settings.media_root)
        return
    try:
        file = tempfile.NamedTemporaryFile(prefix="media-qc-", dir=settings.temp_dir)  # noqa: SIM115 - closed below
    except OSError as fault:
        raise jf.Retry(f"failed to create a temporary file: {fault}", kind="local_io") from fault
    with file:
        await download(ctx, job.source, settings, file.file)
        yield Path(file.name)


def find(source: str, root: Path | None) -> Path:
    """A path that may be read and has something in it."""
    path = (root or Path()) / source
    # Links are resolved before the comparison: one below the root may point out of it. Whether something outside exists
    # is nobody's business either.
    if root is not None and not path.resolve().is_relative_to(root.resolve()):
        raise jf.Failed(f"{source} is not below the directory of this worker", kind="path_not_allowed")
    try:
        facts = path.stat()
        # Before it is opened: a pipe without a writer would block for ever.
        if not stat.S_ISREG(facts.st_mode):
            raise jf.Failed(f"{source} is not a file", kind="not_a_file")
        if facts.st_size == 0:
            raise jf.Failed(f"{source} is empty", kind="empty_file")
        os.close(os.open(path, os.O_RDONLY))
    except (FileNotFoundError, NotADirectoryError) as fault:
        raise jf.Failed(f"{source} does not exist on this worker", kind="file_not_found") from fault
    except PermissionError as fault:
        raise jf.Failed(f"{source} may not be read by this worker", kind="permission_denied") from fault
    except OSError as fault:
        raise jf.Retry(f"failed to open the file: {fault}", kind="local_io") from fault
    return path.resolve()


async def download(ctx: jf.Context, url: str, settings: Settings, file: IO[bytes]) -> None:
    """Writes what a URL gives into a file, and reports progress on the way."""
    name = public_url(url)
    timeout = httpx2.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s)
    try:
        # A proxy would resolve names by itself, behind the guard's back.
        async with httpx2.AsyncClient(timeout=timeout, trust_env=False) as client:
            for _ in range(REDIRECTS + 1):
                request = await guarded(client, url, settings)
                async with streaming(client, request) as response:
                    if not response.has_redirect_location:
                        await receive(ctx, name, response, settings.download_limit_bytes, file)
                        return
                    url = urljoin(url, response.headers["location"])
                if not url.startswith(("http://", "https://")):
                    break
        raise jf.Failed(
            f"{name} redirects too often or to an address that is neither http nor https", kind="bad_redirect"
        )
    except httpx2.HTTPError as fault:
        # Without the URL of the library's own text: it may hold secrets.
        raise jf.Retry(f"failed to download {name}: {type(fault).__name__}", kind="network") from fault
    except OSError as fault:
        raise jf.Retry(f"failed to store the download: {fault}", kind="local_io") from fault


async def guarded(client: httpx2.AsyncClient, url: str, settings: Settings) -> httpx2.Request:
    """A request that cannot lead into the worker's own network.

    The name is resolved here, and the address that was checked is the one connected to, so a name that changes its mind
    in between gains nothing.
    """
    request = client.build_request("GET", url)
    if settings.private_hosts:
        return request
    host, port = request.url.host, request.url.port or (443 if request.url.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port)
    except OSError as fault:
        raise jf.Retry(f"failed to download {public_url(url)}: its host was not found", kind="network") from fault
    public = [place[4][0] for place in found if is_public(str(place[4][0]))]
    if not public:
        raise jf.Failed(f"{public_url(url)} leads to a private address", kind="host_not_allowed")
    request.url = request.url.copy_with(host=str(public[0]))
    request.extensions["sni_hostname"] = host
    return request


@asynccontextmanager
async def streaming(client: httpx2.AsyncClient, request: httpx2.Request) -> AsyncIterator[httpx2.Response]:
    """The answer to a request, whose body is read piece by piece."""
    response = await client.send(request, stream=True)
    try:
        yield response
    finally:
        await response.aclose()


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed in ipaddress.ip_network("64:ff9b::/96"):
        # NAT64 carries an IPv4 address inside, which is what gets connected to.
        inner = ipaddress.ip_address(int(parsed) & 0xFFFF_FFFF)
    found = inner or parsed
    return found.is_global and not found.is_multicast and not found.is_reserved


async def receive(ctx: jf.Context, name: str, response: httpx2.Response, limit: int, file: IO[bytes]) -> None:
    """Writes the body of an answer that is worth reading."""
    judge_head(name, response, limit)
    expected = int(response.headers.get("content-length", 0))
    received = reported = 0
    async for chunk in response.aiter_bytes():
        if received == 0 and looks_like_html(chunk):
            raise jf.Failed(f"{name} is not a media file: the server sent a web page", kind="not_media")
        received += len(chunk)
        # Counted as it arrives, since a server may announce no length or a wrong one.
        if received > limit:
            raise jf.Failed(f"{name} is larger than the limit of {limit} bytes", kind="too_large")
        file.write(chunk)
        if received - reported >= REPORT_EVERY_BYTES or received == expected:
            reported = received
            share = min(1.0, received / expected) if expected else 0.0
            of = f" of {mebibytes(expected)}" if expected else ""
            await ctx.progress(BEGINS_AT + share * (ENDS_AT - BEGINS_AT), f"downloaded {mebibytes(received)}{of}")
    if received == 0:
        raise jf.Failed(f"{name} is empty", kind="empty_file")
    file.flush()


def judge_head(name: str, response: httpx2.Response, limit: int) -> None:
    """Judges an answer before its body is read."""
    status = response.status_code
    if not response.is_success:
        if status < 500 and status not in PASSING:
            raise jf.Failed(f"{name} answered {status}", kind="http_refused")
        asked = response.headers.get("retry-after", "")
        after = timedelta(seconds=min(int(asked), RETRY_AFTER_LIMIT_S)) if asked.isdecimal() else None
        raise jf.Retry(f"{name} answered {status}", after=after, kind="http_unavailable")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in NO_MEDIA:
        raise jf.Failed(f"{name} is not a media file: the server sent {kind}", kind="not_media")
    if int(response.headers.get("content-length", 0)) > limit:
        raise jf.Failed(f"{name} is larger than the limit of {limit} bytes", kind="too_large")


def looks_like_html(start: bytes) -> bool:
    return start[:64].decode(errors="replace").lstrip().lower().startswith(("<!doctype html", "<html"))


def mebibytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1024**2:.1f} MiB"
