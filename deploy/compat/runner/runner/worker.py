#!/usr/bin/env python3
"""The worker under the name that older runbooks start it by.

It becomes `jobforge work --no-supervise` in the same process: who kills this process kills the worker.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import become  # noqa: E402

if __name__ == "__main__":
    become("worker.py", ["work", "--no-supervise"])
