"""Reads what ffmpeg's filters print. Pure: lines in, measurements out."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, field

LISTED_STRETCHES = 200
"""Stretches that are listed one by one; of more, only count, sum and longest are kept."""
QUOTED_ERRORS = 5
TAIL_LINES = 20
QUOTE_CHARS = 300
LOUDNESS_FLOOR_LUFS = -70.0
"""EBU R128's absolute gate: below it there is no programme to speak of."""

LEVELS = frozenset(["panic", "fatal", "error", "warning", "info", "verbose", "debug", "trace"])
CUT_OFF = ("partial file", "File ended prematurely")


@dataclass(frozen=True)
class Stretch:
    start_s: float
    end_s: float


@dataclass
class Stretches:
    """All stretches of one kind."""

    count: int = 0
    total_s: float = 0.0
    longest_s: float = 0.0
    listed: list[Stretch] = field(default_factory=list)

    def add(self, start_s: float, end_s: float) -> None:
        start_s, end_s = round(start_s, 3), round(end_s, 3)
        length = round(max(0.0, end_s - start_s), 3)
        self.count += 1
        self.total_s = round(self.total_s + length, 3)
        self.longest_s = max(self.longest_s, length)
        if len(self.listed) < LISTED_STRETCHES:
            self.listed.append(Stretch(start_s, end_s))


@dataclass
class Loudness:
    """What EBU R128 says of the sound; ``None`` where there was too little sound to measure."""

    integrated_lufs: float | None = None
    range_lu: float | None = None
    true_peak_dbtp: float | None = None


@dataclass(frozen=True)
class Measured:
    """What one pass over the decoded file found; ``None`` of a kind that the file does not have."""

    decoded_s: float
    black: Stretches | None
    freeze: Stretches | None
    silence: Stretches | None
    loudness: Loudness | None
    decode_errors: int
    first_errors: list[str]


class LogReader:
    """Collects the lines that ``ffmpeg -loglevel level+info`` writes to stderr."""

    def __init__(self) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        """The newest lines, for the message of a failed run."""
        self.cut_off: str | None = None
        """What the demuxer said when the file ended before its own index did."""
        self.first_errors: list[str] = []
        self._black, self._freeze, self._silence = Stretches(), Stretches(), Stretches()
        self._loudness = Loudness()
        self._freeze_since: float | None = None
        self._silence_since: float | None = None
        self._in_summary = False
        self._decode_errors = 0

    def push(self, line: str) -> None:
        """Takes one line."""
        line = line.rstrip()
        if not line:
            return
        self.tail.append(line[:QUOTE_CHARS])
        tags, text = split_tags(line)
        if not tags:
            # Only ffmpeg's own multi-line messages have no tag; the one of interest is ebur128's summary.
            if self._in_summary:
                self._summary_line(text.strip())
            return
        component = tags[0].split(" @ ")[0] if len(tags) > 1 else ""
        self._in_summary = "ebur128" in component and text.startswith("Summary:")
        # The component is compared so that a title such as "black_start:0" in the file's metadata stays a title.
        if component == "blackdetect":
            self._black_line(text)
        elif component == "freezedetect":
            self._freeze_line(text)
        elif component == "silencedetect":
            self._silence_line(text)
        elif tags[-1] in ("error", "fatal", "panic"):
            self._error_line(text)

    def _black_line(self, text: str) -> None:
        start, end = value(text, "black_start:"), value(text, "black_end:")
        if start is not None and end is not None:
            self._black.add(start, end)

    def _freeze_line(self, text: str) -> None:
        start, end = value(text, "freeze_start:"), value(text, "freeze_end:")
        if start is not None:
            self._freeze_since = start
        elif end is not None and self._freeze_since is not None:
            self._freeze.add(self._freeze_since, end)
            self._freeze_since = None

    def _silence_line(self, text: str) -> None:
        start, end = value(text, "silence_start:"), value(text, "silence_end:")
        if start is not None:
            # The filter may place the start a hair before the first sample.
            self._silence_since = max(0.0, start)
        elif end is not None and self._silence_since is not None:
            self._silence.add(self._silence_since, end)
            self._silence_since = None

    def _summary_line(self, text: str) -> None:
        lufs, span, peak = value(text, "I:"), value(text, "LRA:"), value(text, "Peak:")
        if lufs is not None:
            self._loudness.integrated_lufs = lufs if lufs > LOUDNESS_FLOOR_LUFS else None
        elif span is not None:
            self._loudness.range_lu = span
        elif peak is not None:
            self._loudness.true_peak_dbtp = peak

    def _error_line(self, text: str) -> None:
        self._decode_errors += 1
        if self.cut_off is None and any(said in text for said in CUT_OFF):
            self.cut_off = text
        if len(self.first_errors) < QUOTED_ERRORS:
            self.first_errors.append(text[:QUOTE_CHARS])

    def finish(self, decoded_s: float, *, has_video: bool, has_audio: bool) -> Measured:
        """Ends the reading: what is still open lasted until ``decoded_s``."""
        if self._freeze_since is not None:
            self._freeze.add(self._freeze_since, decoded_s)
        if self._silence_since is not None:
            self._silence.add(self._silence_since, decoded_s)
        if self._loudness.integrated_lufs is None:
            # A range over no programme is printed as 0.0, which would read as a measurement.
            self._loudness.range_lu = None
        return Measured(
            decoded_s=round(decoded_s, 3),
            black=self._black if has_video else None,
            freeze=self._freeze if has_video else None,
            silence=self._silence if has_audio else None,
            loudness=self._loudness if has_audio else None,
            decode_errors=self._decode_errors,
            first_errors=self.first_errors,
        )


def split_tags(line: str) -> tuple[list[str], str]:
    """Splits ``[blackdetect @ 0x55] [info] text`` into its tags and its text."""
    tags, rest = [], line
    while rest.startswith("[") and "] " in rest:
        tag, _, rest = rest[1:].partition("] ")
        tags.append(tag)
        if tag in LEVELS:
            break
    return tags, rest


def value(text: str, key: str) -> float | None:
    """The finite number that follows ``key``, where ``key`` is not the end of a longer word."""
    found = re.search(rf"(?<!\w){re.escape(key)}\s*(\S+)", text)
    try:
        number = float(found.group(1)) if found else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
