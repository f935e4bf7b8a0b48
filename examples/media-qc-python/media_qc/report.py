"""The verdict: what was found, held against what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .job import Checks
from .measure import Loudness, Measured, Stretches
from .probe import MediaFacts


@dataclass(frozen=True)
class Reason:
    """One failed check."""

    check: str
    """``black``, ``silence``, ``freeze``, ``loudness``, ``true_peak`` or ``decode_errors``."""
    measured: float | None
    """What was measured; ``None`` when there was nothing to measure."""
    limit: float
    message: str


@dataclass(frozen=True)
class Report:
    """What the job stores as its result."""

    source: str
    verdict: Literal["pass", "fail"]
    reasons: list[Reason]
    media: MediaFacts
    measured: Measured
    analysis_ms: int
    tool: str


def judge(measured: Measured, checks: Checks) -> list[Reason]:
    """Why a file does not pass; nothing when it does. The same file and the same checks give the same reasons."""
    found = [
        stretch("black", measured.black, checks.max_black_s),
        stretch("silence", measured.silence, checks.max_silence_s),
        stretch("freeze", measured.freeze, checks.max_freeze_s),
        loudness(measured.loudness, checks),
        true_peak(measured.loudness, checks),
        decode_errors(measured, checks),
    ]
    return [reason for reason in found if reason is not None]


def stretch(check: str, found: Stretches | None, limit_s: float | None) -> Reason | None:
    if found is None or limit_s is None or found.longest_s <= limit_s:
        return None
    # Shorter ones may have been dropped from the list but never a longer one, so it is found unless the list is full.
    longest = next((each for each in found.listed if each.end_s - each.start_s >= found.longest_s - 0.001), None)
    place = f" at {longest.start_s:.1f} s" if longest else ""
    message = f"{found.longest_s:.2f} s of {check}{place} (limit {limit_s:g} s)"
    return Reason(check, found.longest_s, limit_s, message)


def loudness(found: Loudness | None, checks: Checks) -> Reason | None:
    """A file without sound, or with nothing but silence, does not meet a loudness that was asked for."""
    target, tolerance = checks.loudness_target_lufs, checks.loudness_tolerance_lu
    if target is None:
        return None
    lufs = found.integrated_lufs if found else None
    if lufs is None:
        return Reason("loudness", None, target, f"no sound to measure loudness of (target {target:g} LUFS)")
    # ffmpeg prints tenths; a comparison of binary fractions should not fail -23.0 against -22.5 ± 0.5.
    if abs(lufs - target) <= tolerance + 1e-6:
        return None
    return Reason("loudness", lufs, target, f"loudness of {lufs:g} LUFS (target {target:g} ± {tolerance:g})")


def true_peak(found: Loudness | None, checks: Checks) -> Reason | None:
    limit, peak = checks.max_true_peak_dbtp, found.true_peak_dbtp if found else None
    if limit is None or peak is None or peak <= limit:
        return None
    return Reason("true_peak", peak, limit, f"true peak of {peak:g} dBTP (limit {limit:g})")


def decode_errors(measured: Measured, checks: Checks) -> Reason | None:
    limit, count = checks.max_decode_errors, measured.decode_errors
    if limit is None or count <= limit:
        return None
    first = f", the first: {measured.first_errors[0]}" if measured.first_errors else ""
    return Reason("decode_errors", count, limit, f"{count} errors while decoding (limit {limit}){first}")
