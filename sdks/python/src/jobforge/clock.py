"""The clock that leases are measured by."""

from __future__ import annotations

import sys
import time

if sys.platform == "win32":
    monotonic = time.monotonic
else:
    _CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

    def monotonic() -> float:
        """Seconds since the machine started, those in suspend too where possible: the server's clock went on."""
        return time.clock_gettime(_CLOCK)
