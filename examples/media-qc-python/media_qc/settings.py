"""What the operator of the worker decides, as opposed to who enqueues a job."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """The worker's side of the work: tools, limits and permissions."""

    ffmpeg: str = "ffmpeg"
    ffprobe: str = "ffprobe"
    media_root: Path | None = None
    """Local sources must lie below this directory, and relative ones start from it; ``None`` allows every path."""
    private_hosts: bool = False
    """Whether URLs may point at private, loopback and link-local addresses."""
    download_limit_bytes: int = 2 * 1024**3
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 30.0
    probe_timeout_s: float = 60.0
    stall_timeout_s: float = 60.0
    """How long ffmpeg may go without decoding anything before it counts as hung."""
    temp_dir: Path | None = None
    """Where downloads are kept while they are examined; ``None`` is the system's place for temporary files."""

    @classmethod
    def from_environment(cls) -> Settings:
        """As ``MEDIA_ROOT``, ``MEDIA_ALLOW_PRIVATE_HOSTS=true``, ``MEDIA_MAX_DOWNLOAD_MIB`` and so on say."""
        root, temp = os.environ.get("MEDIA_ROOT"), os.environ.get("MEDIA_TEMP_DIR")
        return cls(
            media_root=Path(root) if root else None,
            private_hosts=os.environ.get("MEDIA_ALLOW_PRIVATE_HOSTS") == "true",
            download_limit_bytes=int(os.environ.get("MEDIA_MAX_DOWNLOAD_MIB", "2048")) * 1024**2,
            stall_timeout_s=float(os.environ.get("MEDIA_STALL_TIMEOUT_S", "60")),
            temp_dir=Path(temp) if temp else None,
        )
