"""Becoming the program `jobforge`."""

from __future__ import annotations

import os
import shutil
import sys
from typing import NoReturn


def become(title: str, arguments: list[str]) -> NoReturn:
    """Runs jobforge in the place of this process, under a title that `ps` shows first."""
    program = os.environ.get("JOBFORGE_BIN") or shutil.which("jobforge")
    if program is None:
        sys.exit("error: jobforge is not on the PATH\nhint: install it, or set JOBFORGE_BIN to the program")
    sys.stdout.flush()
    try:
        os.execv(program, [title, *arguments, *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"error: {program} cannot be run: {error.strerror}")
