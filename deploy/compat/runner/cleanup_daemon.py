#!/usr/bin/env python3
"""The cleanup daemon under the name that older runbooks start it by.

It becomes `jobforge cleanup-daemon` in the same process, so that signals, exit codes and `ps aux | grep cleanup_daemon`
mean that process. DATABASE_URL, STALE_THRESHOLD_MINUTES and CHECK_INTERVAL are read by it.
"""

from launch import become

if __name__ == "__main__":
    become("cleanup_daemon.py", ["cleanup-daemon"])
