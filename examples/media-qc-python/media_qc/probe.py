"""Asks ffprobe what a file is made of."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jobforge as jf

from . import child
from .settings import Settings

ANSWER_LIMIT_BYTES = 4 * 1024 * 1024
ERROR_LINES = 20

# A list, because ffmpeg also "plays" things that read other files or addresses (playlists, `concat` scripts), and shows
# plain text as ANSI art; none of these are deliverables, and the first two would be a way around our guards.
CONTAINERS = (
    "aac,ac3,aiff,amr,asf,avi,caf,dv,eac3,flac,flv,gxf,h264,hevc,ivf,m4v,matroska,mov,mp3,mpeg,"
    "mpegts,mpegvideo,mxf,nut,obu,ogg,rm,w64,wav,webm,wv"
)

# Tags are not asked for: they can be megabytes, and anything.
FIELDS = (
    "format=format_name,format_long_name,duration,size,bit_rate"
    ":stream=index,codec_type,codec_name,profile,width,height,pix_fmt,avg_frame_rate,r_frame_rate,"
    "sample_rate,channels,channel_layout,duration:stream_disposition=attached_pic"
)


@dataclass(frozen=True)
class VideoStream:
    index: int
    codec: str
    profile: str | None
    width: int
    height: int
    frame_rate: float | None
    pixel_format: str | None
    duration_s: float | None


@dataclass(frozen=True)
class AudioStream:
    index: int
    codec: str
    channels: int
    layout: str | None
    sample_rate_hz: int | None
    duration_s: float | None


@dataclass(frozen=True)
class MediaFacts:
    """What a file is made of."""

    container: str
    container_name: str
    size_bytes: int
    duration_s: float | None
    bit_rate: int | None
    video: list[VideoStream]
    audio: list[AudioStream]

    @property
    def expected_s(self) -> float | None:
        """How long the streams that are decoded (the first of each kind) should last.

        Their own lengths count before the container's, which may be that of a longer subtitle or data stream.
        """
        own = [stream.duration_s for stream in self.video[:1]] + [stream.duration_s for stream in self.audio[:1]]
        known = [length for length in own if length is not None]
        return max(known) if known and len(known) == len(own) else self.duration_s

    def summary(self) -> str:
        """One line for the log."""
        codecs = ", ".join([stream.codec for stream in self.video] + [stream.codec for stream in self.audio])
        length = f", {self.duration_s:.1f} s" if self.duration_s else ""
        return f"{self.container_name}: {codecs}{length}"


async def probe(path: Path, name: str, settings: Settings) -> MediaFacts:
    """Runs ffprobe on a file; ``name`` is how failures call it."""
    answer: list[str] = []
    errors: list[str] = []
    room = ANSWER_LIMIT_BYTES

    def on_stdout(line: str) -> bool:
        nonlocal room
        room -= len(line)
        if room > 0:
            answer.append(line)
        return False

    def on_stderr(line: str) -> bool:
        if len(errors) < ERROR_LINES:
            errors.append(line)
        return False

    arguments = ["-hide_banner", "-v", "error", "-of", "json", "-show_entries", FIELDS, *opening(path)]
    code = await child.run(
        settings.ffprobe, arguments, patience_s=settings.probe_timeout_s, on_stdout=on_stdout, on_stderr=on_stderr
    )
    if code != 0:
        raise refusal(name, code, errors)
    try:
        facts = parse("\n".join(answer))
    except (ValueError, KeyError) as fault:
        raise jf.Failed(
            f"{name} is not a media file: ffprobe's answer is not understood: {fault}", kind="not_media"
        ) from fault
    if not facts.video and not facts.audio:
        raise jf.Failed(f"{name} has no audio or video stream", kind="no_streams")
    return facts


def opening(path: Path) -> list[str]:
    """The arguments that open ``path``, and nothing but ``path``."""
    # `file:` keeps names with a colon or a leading dash from being read as an address or an option.
    return ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS, "-i", f"file:{path}"]


def refusal(name: str, code: int, errors: list[str]) -> jf.Failed | jf.Retry:
    """What ffprobe's refusal means."""
    said = "\n".join(errors)
    if "partial file" in said or "File ended prematurely" in said:
        return jf.Failed(f"{name} is truncated: it ends inside its header", kind="truncated_media")
    if "Invalid data found" in said or "moov atom not found" in said or "not on whitelist" in said:
        return jf.Failed(f"{name} is not a media file: ffprobe finds no known container in it", kind="not_media")
    last = errors[-1] if errors else ""
    return jf.Retry(f"ffprobe ended with exit code {code}: {last}", kind="tool_failed", details={"stderr": errors})


def parse(text: str) -> MediaFacts:
    """Reads ffprobe's JSON."""
    answer = json.loads(text)
    streams, form = answer.get("streams", []), answer["format"]
    return MediaFacts(
        container=form["format_name"],
        container_name=form.get("format_long_name", ""),
        size_bytes=int(form.get("size", 0)),
        duration_s=number(form.get("duration")),
        bit_rate=int(form["bit_rate"]) if "bit_rate" in form else None,
        # The cover of an album is no picture stream: it would count as one endless freeze.
        video=[
            video_stream(stream)
            for stream in streams
            if stream.get("codec_type") == "video" and not stream.get("disposition", {}).get("attached_pic")
        ],
        audio=[audio_stream(stream) for stream in streams if stream.get("codec_type") == "audio"],
    )


def video_stream(raw: dict[str, Any]) -> VideoStream:
    return VideoStream(
        index=raw["index"],
        codec=raw.get("codec_name", "unknown"),
        profile=raw.get("profile"),
        width=raw.get("width", 0),
        height=raw.get("height", 0),
        frame_rate=ratio(raw.get("avg_frame_rate")) or ratio(raw.get("r_frame_rate")),
        pixel_format=raw.get("pix_fmt"),
        duration_s=number(raw.get("duration")),
    )


def audio_stream(raw: dict[str, Any]) -> AudioStream:
    return AudioStream(
        index=raw["index"],
        codec=raw.get("codec_name", "unknown"),
        channels=raw.get("channels", 0),
        layout=raw.get("channel_layout"),
        sample_rate_hz=int(raw["sample_rate"]) if "sample_rate" in raw else None,
        duration_s=number(raw.get("duration")),
    )


def number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def ratio(text: str | None) -> float | None:
    """Reads ``30000/1001``; ``0/0`` is ffprobe's way of saying unknown."""
    above, _, below = (text or "").partition("/")
    over, under = number(above), number(below)
    return round(over / under, 3) if over and under else None
