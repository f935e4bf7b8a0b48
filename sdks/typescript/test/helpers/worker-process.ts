import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const FIXTURE = join(__dirname, "../fixtures/worker.js");

/** A worker in a process of its own, which notes in a file what its handlers do. */
export class WorkerProcess {
  readonly output: string[] = [];

  private constructor(private readonly child: ChildProcess) {
    const collect = (part: Buffer) => this.output.push(part.toString());
    child.stderr?.on("data", collect);
    child.stdout?.on("data", collect);
  }

  static start(url: string, journal: string, env: Record<string, string> = {}): WorkerProcess {
    const child = spawn(process.execPath, [FIXTURE], {
      env: { ...process.env, ...env, JOBFORGE_URL: url, JOURNAL: journal },
      stdio: ["ignore", "pipe", "pipe"],
    });
    return new WorkerProcess(child);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get text(): string {
    return this.output.join("");
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Ends it and returns its exit code or signal. */
  async end(name: NodeJS.Signals): Promise<number | string | null> {
    const exit = this.exit();
    this.child.kill(name);
    return exit;
  }

  async exit(): Promise<number | string | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "exit");
    return this.child.exitCode ?? this.child.signalCode;
  }
}

/** A line of the journal. */
export interface Note {
  what: "start" | "end" | "stop";
  id: string;
  fence: number;
  pid: number;
  /** Milliseconds of a clock that all processes of the machine share. */
  at: number;
  reason?: string;
}

export function notes(journal: string): Note[] {
  const text = readFileSync(journal, { encoding: "utf8", flag: "a+" });
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Note);
}

/** The moment now, on the journal's clock. */
export function moment(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}
