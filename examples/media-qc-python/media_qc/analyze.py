"""Decodes a file once with ffmpeg and measures it on the way."""

from __future__ import annotations

from pathlib import Path

import jobforge as jf

from . import child
from .job import Checks
from .measure import LogReader, Measured
from .probe import MediaFacts, opening
from .settings import Settings

BEGINS_AT, ENDS_AT = 45, 75
"""Where the analysis begins and ends on the job's scale of progress."""
MISSING_S, MISSING_SHARE = 1.0, 0.10
"""How much shorter than announced a file may be: one second, or a tenth of its length, whichever is more."""
HOPELESS = ("Decoder (codec", "Unknown decoder", "Invalid data found when processing input", "Could not find codec")


async def analyze(
    ctx: jf.Context, path: Path, name: str, facts: MediaFacts, checks: Checks, settings: Settings
) -> Measured:
    """Decodes the first picture and the first sound stream of a file, and reports progress as it goes."""
    log, meter = LogReader(), Meter(ctx, facts.expected_s)

    def on_stderr(line: str) -> bool:
        log.push(line)
        return False

    code = await child.run(
        settings.ffmpeg,
        arguments(path, facts, checks),
        patience_s=settings.stall_timeout_s,
        on_stdout=meter.push,
        on_stderr=on_stderr,
    )
    why = truncation(meter.expected_s, meter.decoded_s, log.cut_off)
    if why:
        raise jf.Failed(f"{name} is truncated: {why}", kind="truncated_media")
    if code != 0:
        raise failure(name, code, list(log.tail))
    measured = log.finish(meter.decoded_s, has_video=bool(facts.video), has_audio=bool(facts.audio))
    if measured.decoded_s == 0:
        first = measured.first_errors[0] if measured.first_errors else "no frame came out"
        raise jf.Failed(f"{name} cannot be decoded: {first}", kind="undecodable")
    return measured


def arguments(path: Path, facts: MediaFacts, checks: Checks) -> list[str]:
    """ffmpeg's command line: one pass, no output file."""
    given = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", *opening(path)]
    if facts.video:
        detect = f"blackdetect=d={checks.black_min_s:g}:pix_th=0.10,freezedetect=n=-60dB:d={checks.freeze_min_s:g}"
        given += ["-map", f"0:{facts.video[0].index}", "-vf", detect]
    if facts.audio:
        # `framelog=verbose` silences the ten lines a second that ebur128 prints otherwise; 5.1 knows no `quiet`.
        silence = f"silencedetect=n={checks.silence_db:g}dB:d={checks.silence_min_s:g}"
        given += ["-map", f"0:{facts.audio[0].index}", "-af", f"{silence},ebur128=peak=true:framelog=verbose"]
    return [*given, "-progress", "pipe:1", "-f", "null", "-"]


class Meter:
    """Turns ffmpeg's position into the job's progress."""

    def __init__(self, ctx: jf.Context, expected_s: float | None) -> None:
        self.expected_s = expected_s
        self.decoded_s = 0.0
        self._ctx = ctx
        self._speed: str | None = None

    def push(self, line: str) -> bool:
        """Takes a line of ``-progress``, and says whether ffmpeg has got further."""
        key, _, text = line.partition("=")
        text = text.strip()
        if key == "out_time_us" and text.lstrip("-").isdecimal():
            # `out_time_ms` is microseconds as well, by an old mistake; this key says what it is.
            decoded = max(0.0, int(text) / 1e6)
            moved, self.decoded_s = decoded > self.decoded_s, max(decoded, self.decoded_s)
            return moved
        if key == "speed" and text.endswith("x"):
            self._speed = text.strip()
        elif key == "progress":
            self._ctx.progress(self.percent, self.message)
        return False

    @property
    def percent(self) -> int:
        """Stays at the beginning when the length is unknown: a number that means nothing would be worse."""
        share = min(1.0, self.decoded_s / self.expected_s) if self.expected_s else 0.0
        return int(BEGINS_AT + share * (ENDS_AT - BEGINS_AT))

    @property
    def message(self) -> str:
        of = f" of {self.expected_s:.1f} s" if self.expected_s else ""
        speed = f" at {self._speed}" if self._speed else ""
        return f"analyzed {self.decoded_s:.1f} s{of}{speed}"


def truncation(expected_s: float | None, decoded_s: float, cut_off: str | None) -> str | None:
    """Why a file counts as cut off, if it does.

    What the demuxer noticed decides at once. Otherwise the file must lack more than a second and more than a tenth:
    containers round, and edit lists and audio priming make small differences normal.
    """
    announced = f" of {expected_s:.1f} s" if expected_s else ""
    if cut_off:
        return f"it ends after {decoded_s:.1f} s{announced} ({cut_off})"
    missing = (expected_s or 0.0) - decoded_s
    if decoded_s > 0 and missing > max(MISSING_S, (expected_s or 0.0) * MISSING_SHARE):
        return f"only {decoded_s:.1f} s{announced} can be decoded"
    return None


def failure(name: str, code: int, tail: list[str]) -> jf.Failed | jf.Retry:
    """What ffmpeg's failure means."""
    for line in tail:
        if any(text in line for text in HOPELESS):
            return jf.Failed(f"{name} cannot be decoded: {line}", kind="undecodable")
    last = tail[-1] if tail else ""
    return jf.Retry(f"ffmpeg ended with exit code {code}: {last}", kind="tool_failed", details={"stderr": tail})
