"""Records a terminal in which the real program runs, as an SVG that plays by itself.

    record.py SCENE OUTPUT.svg     with `jobforge` on the PATH

A shell runs in a pseudo-terminal, the lines of SCENE are typed into it, and what comes back is read by a terminal emulator.
Waits are cut short; nothing else is changed.
"""

import os
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path

import pyte
from svg import Cell, svg

COLUMNS, LINES = 104, 25
# Nobody wants to watch anybody wait.
LONGEST_WAIT = 4.0
PATIENCE = 60.0
TYPED_AT_ONCE = 4


class Recording:
    """A shell in a terminal, and what was seen of it when."""

    def __init__(self, home: str) -> None:
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.frames: list[tuple[float, list[list[Cell]]]] = []
        self.kept: dict[str, str] = {}
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": home,
                "TERM": "xterm-256color",
                "LANG": "C.UTF-8",
                "PS1": "\x1b[1;32m$\x1b[0m ",
                "JOBFORGE_EXEC_ALLOW": "*",
            }
            os.execve("/bin/bash", ["bash", "--noprofile", "--norc"], environment)
        ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))

    def look(self, seconds: float) -> None:
        """Watches the screen for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                try:
                    data = os.read(self.terminal, 65536)
                except OSError:
                    return
                # The emulator knows no faint text.
                self.stream.feed(data.replace(b"\x1b[2m", b"\x1b[90m"))
                self.keep()

    def keep(self) -> None:
        """Keeps what is on the screen, if it is new."""
        rows = [
            [
                Cell(cell.data, cell.fg, cell.bg, cell.bold, cell.reverse)
                for cell in (self.screen.buffer[line][column] for column in range(COLUMNS))
            ]
            for line in range(LINES)
        ]
        if not self.frames or self.frames[-1][1] != rows:
            self.frames.append((time.monotonic(), rows))

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, pattern: str) -> None:
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text()):
            if time.monotonic() > end:
                sys.exit(f"{pattern!r} did not come:\n{self.text()}")
            self.look(0.1)

    def send(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def type(self, line: str) -> None:
        for name, value in self.kept.items():
            line = line.replace(f"$${name}", value)
        for at in range(0, len(line), TYPED_AT_ONCE):
            self.send(line[at : at + TYPED_AT_ONCE])
            self.look(0.13)
        self.look(0.3)
        self.send("\r")
        self.look(0.3)

    def play(self, scene: str) -> None:
        self.look(0.5)
        # What stands above the first line that is typed is about this file.
        lines = scene.splitlines()
        while lines and lines[0].startswith("#"):
            lines.pop(0)
        for line in lines:
            word, _, rest = line.partition(": ")
            if word == "" and rest:
                self.look(float(rest))
            elif word == "until":
                self.until(rest.replace("\\n", "\n"))
            elif word == "let":
                name, pattern = rest.split(" ", 1)
                found = re.findall(pattern, self.text())
                if not found:
                    sys.exit(f"{pattern!r} is not on the screen:\n{self.text()}")
                self.kept[name] = found[-1]
            else:
                self.type(line)
        self.keep()

    def end(self) -> None:
        """Ends everything that was started here, frozen or not."""
        # Each job of the shell is a process group of the terminal's session.
        for process in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = process.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.pid:
                os.kill(int(process.parent.name), signal.SIGKILL)
        os.close(self.terminal)


def main() -> None:
    scene, output = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home:
        recording = Recording(home)
        try:
            recording.play(Path(scene).read_text())
        finally:
            recording.end()
    times = [at for at, _ in recording.frames]
    lasts = [min(after - at, LONGEST_WAIT) for at, after in zip(times, times[1:], strict=False)]
    Path(output).write_text(svg([rows for _, rows in recording.frames], [*lasts, LONGEST_WAIT]))


if __name__ == "__main__":
    main()
