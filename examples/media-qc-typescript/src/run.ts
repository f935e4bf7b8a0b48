/** Runs one external program: in a process group of its own, without a shell, and never for ever. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Failed, Retry } from "@jobforge/sdk";

const LINE_LIMIT = 16 * 1024;

export interface Invocation {
  program: string;
  args: string[];
  signal: AbortSignal;
  /** How long it may go without getting somewhere. */
  patienceMs: number;
  /** Takes a line; true says that the program got somewhere. */
  onLine: (from: "stdout" | "stderr", line: string) => boolean | void;
}

/** Runs a program to its end and returns its exit code, which only the caller understands. */
export function run({ program, args, signal, patienceMs, onLine }: Invocation): Promise<number> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
    let verdict: unknown;
    const end = (why: unknown) => {
      verdict ??= why;
      // The group, for the program may have started others. It may be gone already.
      if (child.pid)
        try {
          process.kill(-child.pid, "SIGKILL");
        } catch {}
    };
    const stopped = () => end(signal.reason);
    const hung = () =>
      end(new Retry(`${program} made no progress for ${patienceMs / 1000} s and was killed`, { kind: "tool_hung" }));
    signal.addEventListener("abort", stopped, { once: true });
    let patience = setTimeout(hung, patienceMs);
    for (const from of ["stdout", "stderr"] as const) {
      createInterface({ input: child[from] }).on("line", (line) => {
        if (!onLine(from, line.slice(0, LINE_LIMIT))) return;
        clearTimeout(patience);
        patience = setTimeout(hung, patienceMs);
      });
    }
    const over = () => {
      clearTimeout(patience);
      signal.removeEventListener("abort", stopped);
    };
    child.on("error", (error: NodeJS.ErrnoException) => {
      over();
      if (error.code !== "ENOENT") return reject(error);
      const message = `${program} was not found on this worker; install it with: sudo apt-get install -y ffmpeg`;
      return reject(new Failed(message, { kind: "tool_missing" }));
    });
    child.on("close", (code, killedBy) => {
      over();
      if (verdict !== undefined) return reject(verdict);
      if (code !== null) return resolve(code);
      const message = `${program} was killed by ${killedBy}; the usual cause is too little memory`;
      return reject(new Retry(message, { kind: "tool_killed" }));
    });
  });
}
