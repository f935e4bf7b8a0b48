"""Runs one external program: in a process group of its own, without a shell, and never for ever."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence

import jobforge as jf

LINE_LIMIT_BYTES = 16 * 1024
"""The longest line that is kept; of a longer one the rest is dropped."""
DRAIN_S = 2.0
"""How long the output may stay open after the program itself has ended."""

KILL_AGAIN_S = 0.5

OnLine = Callable[[str], bool]
"""Takes a line, and says whether it shows that the program is getting somewhere."""


async def run(
    program: str, arguments: Sequence[str], *, patience_s: float, on_stdout: OnLine, on_stderr: OnLine
) -> int:
    """Runs a program to its end and gives its exit code, handing over every line of its output.

    When nothing has moved for so long, or this is cancelled, the whole process group is killed.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as fault:
        hint = "install it with: sudo apt-get install -y ffmpeg"
        raise jf.Failed(f"{program} was not found on this worker; {hint}", kind="tool_missing") from fault
    except OSError as fault:
        raise jf.Retry(f"failed to start a program: {fault}", kind="local_io") from fault
    assert child.stdout is not None
    assert child.stderr is not None
    loop = asyncio.get_running_loop()
    moved = loop.time()

    async def read(stream: asyncio.StreamReader, on_line: OnLine) -> None:
        nonlocal moved
        async for line in lines(stream):
            if on_line(line):
                moved = loop.time()

    reading = asyncio.gather(read(child.stdout, on_stdout), read(child.stderr, on_stderr))
    ended = asyncio.ensure_future(child.wait())
    try:
        while not ended.done():
            left = moved + patience_s - loop.time()
            if left <= 0:
                raise jf.Retry(f"{program} made no progress for {patience_s:g} s and was killed", kind="tool_hung")
            await asyncio.wait({ended}, timeout=left)
        # A grandchild may hold the pipes open; what it has to say is not waited for long.
        await asyncio.wait({reading}, timeout=DRAIN_S)
    finally:
        reading.cancel()
        kill_group(child.pid)
        while not ended.done():
            await asyncio.wait({ended}, timeout=KILL_AGAIN_S)
            # A program that was being started at that moment may have been missed.
            kill_group(child.pid)
        await asyncio.gather(reading, return_exceptions=True)
    code = ended.result()
    if code < 0:
        why = "the usual cause is too little memory"
        raise jf.Retry(f"{program} was killed by signal {-code}; {why}", kind="tool_killed")
    return code


def kill_group(leader: int) -> None:
    """Ends a program and all that it has started."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        # The normal case: everybody has already left.
        return


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines of bounded length, so that a gigabyte without a line end costs 16 KiB."""
    kept = b""
    while chunk := await stream.read(LINE_LIMIT_BYTES):
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield (kept + line)[:LINE_LIMIT_BYTES].decode(errors="replace").rstrip("\r")
            kept = b""
        kept = (kept + rest)[:LINE_LIMIT_BYTES]
    if kept:
        yield kept.decode(errors="replace")
