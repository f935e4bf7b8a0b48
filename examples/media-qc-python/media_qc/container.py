"""Compares a file's size with what its container announces: cheaper and surer than decoding to the end.

ffmpeg forgives a cut AVI or WAV and calls the rest the whole; the sizes in their first bytes do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

BOX_LIMIT = 100_000
"""Top-level boxes that are walked; a fragmented film may have one pair per second."""
SLACK_BYTES = 8
"""How far off a size may be: writers disagree about padding."""
UNKNOWN_RIFF_SIZE = 0x7FFF_0000
"""Sizes from here on mean "not known yet" in the headers of live recordings."""

KNOWN_BOXES = frozenset(
    [
        b"ftyp",
        b"styp",
        b"moov",
        b"moof",
        b"mdat",
        b"mfra",
        b"sidx",
        b"free",
        b"skip",
        b"wide",
        b"uuid",
        b"meta",
        b"pnot",
    ]
)


def lack(path: Path) -> str | None:
    """What the file lacks by its container's own account; ``None`` when it is complete or that cannot be told."""
    length = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return None
        if start[:4] == b"RIFF":
            end, indexed = riff_end(start), True
        elif start[4:] in KNOWN_BOXES:
            end, indexed = walk_boxes(file, length)
        else:
            return None
    if end - length > SLACK_BYTES:
        return f"it is {end - length} bytes shorter than its container announces"
    return None if indexed else "its index is missing (no moov box)"


def riff_end(start: bytes) -> int:
    """AVI and WAV: the second word is the size of all that follows it."""
    size = int.from_bytes(start[4:8], "little")
    return 0 if size >= UNKNOWN_RIFF_SIZE else size + 8


def walk_boxes(file: BinaryIO, length: int) -> tuple[int, bool]:
    """MP4 and QuickTime: where the last known box should end, and whether an index was seen."""
    at, end, indexed = 0, 0, False
    for _ in range(BOX_LIMIT):
        file.seek(at)
        head = file.read(16) if at < length else b""
        if len(head) < 8:
            break
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        # `meta` at the top is how still pictures (HEIC, AVIF) do without a moov.
        indexed |= kind in (b"moov", b"meta")
        if size == 1 and len(head) == 16:
            size = int.from_bytes(head[8:], "big")
        # 0 is "to the end of the file, wherever that is"; 1 to 7 make no sense.
        if size < 8:
            break
        at += size
        # Something unknown may be data that somebody appended; it makes no promise about its end.
        if kind in KNOWN_BOXES:
            end = at
    return end, indexed
