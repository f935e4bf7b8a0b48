import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { JobForge } from "../client.js";
import { JobForgeError } from "../errors.js";

const START_LIMIT_MS = 30_000;
const LISTENING = /Listening on (http:\/\/[^\s"]+)/;
const SERVING = /serving .* on http/;

export interface TestServerOptions {
  /** The program; `JOBFORGE_BIN` if left out, else `jobforge` from the path. */
  binary?: string;
  /** More of its environment, such as `STALE_THRESHOLD_MINUTES`. */
  env?: Record<string, string>;
}

/** A real server with an empty database in a temporary directory, on a free port. */
export class TestServer implements AsyncDisposable {
  private child: ChildProcess | undefined;
  private readonly output: string[] = [];
  private port = 0;

  private constructor(
    private readonly binary: string,
    private readonly env: Record<string, string>,
    /** Where its database is. */
    readonly directory: string,
  ) {}

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const binary = options.binary ?? (process.env.JOBFORGE_BIN || "jobforge");
    const directory = await mkdtemp(join(tmpdir(), "jobforge-test-"));
    const server = new TestServer(binary, options.env ?? {}, directory);
    try {
      await server.start();
      return server;
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Its Unix socket, where no token is needed and a worker that dies is noticed at once. */
  get socketUrl(): string {
    return `unix:${join(this.directory, "jobforge.sock")}`;
  }

  /** A client of this server. */
  client(): JobForge {
    return new JobForge({ url: this.url });
  }

  /** The newest lines that it wrote. */
  get log(): readonly string[] {
    return this.output;
  }

  /** Ends it as a crash does. Its database stays, for {@link restart}. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /** Starts it again where it was. */
  async restart(): Promise<void> {
    await this.end("SIGTERM");
    await this.start();
  }

  async stop(): Promise<void> {
    await this.end("SIGTERM");
    await rm(this.directory, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  private async start(): Promise<void> {
    const inherited = Object.entries(process.env).filter(
      ([name]) => !name.startsWith("JOBFORGE_") && name !== "DATABASE_URL",
    );
    const args = ["serve", "--listen", `127.0.0.1:${this.port}`, "--data-dir", this.directory];
    const child = spawn(this.binary, args, {
      env: { ...Object.fromEntries(inherited), ...this.env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.child = child;
    let [listening, serving] = [false, false];
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => reject(new JobForgeError(`${this.binary} ${why}\n${this.output.join("\n")}`));
      const timer = setTimeout(() => fail(`did not start within ${START_LIMIT_MS / 1000} s`), START_LIMIT_MS);
      child.once("error", (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        fail(error.code === "ENOENT" ? "is not there; set JOBFORGE_BIN to the jobforge program" : error.message);
      });
      child.once("exit", (code) => {
        clearTimeout(timer);
        fail(`ended with code ${code}`);
      });
      createInterface({ input: child.stderr! }).on("line", (line) => {
        this.output.push(line);
        if (this.output.length > 200) this.output.shift();
        const port = LISTENING.exec(line)?.[1];
        if (port) this.port = Number(new URL(port).port);
        // The two lines may come in either order.
        listening ||= port !== undefined;
        serving ||= SERVING.test(line);
        if (!listening || !serving) return;
        clearTimeout(timer);
        resolve();
      });
    });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }
}
