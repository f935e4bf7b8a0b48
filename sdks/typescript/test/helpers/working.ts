import type { JobForge, Logger, WorkOptions } from "../../src/index.js";
import type { TestServer } from "../../src/testing/index.js";

/** Where workers reach a server: over the network. */
export function workerUrl(server: TestServer): string {
  return server.url;
}

/** A log that keeps its lines. */
export class Lines implements Logger {
  readonly all: string[] = [];
  readonly info = (line: string): void => void this.all.push(line);
  readonly warn = this.info;
  readonly error = this.info;

  has(pattern: RegExp): boolean {
    return this.all.some((line) => pattern.test(line));
  }
}

/** Runs a worker while a test does something, and stops it in good order afterwards. */
export async function working<T>(jf: JobForge, options: WorkOptions, test: (lines: Lines) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const lines = new Lines();
  const work = jf.work({ signal: stop.signal, graceMs: 500, handleSignals: false, logger: lines, ...options });
  try {
    return await Promise.race([test(lines), work.then(() => Promise.reject(new Error("the worker ended by itself")))]);
  } finally {
    stop.abort();
    await work;
  }
}
