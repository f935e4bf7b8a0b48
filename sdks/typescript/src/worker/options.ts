import type { Logger } from "../log.js";

/** How a worker works. */
export interface WorkOptions {
  /**
   * The queues to take from, in order of preference, or with a number of jobs at once for each: `{ mail: 4, http: 32 }`.
   * Those of the tasks if left out, or `default`.
   */
  queues?: readonly string[] | Readonly<Record<string, number>>;
  /** How many jobs run at once, over all queues; 10 if left out, or the sum of the queues' numbers. */
  concurrency?: number;
  /** Begins a graceful stop: nothing new is taken, running jobs get `graceMs`, the rest is given back. */
  signal?: AbortSignal;
  /** How long running jobs may take to end when the worker stops; 25 s if left out. */
  graceMs?: number;
  /** A label for people; `WORKER_NAME` if left out. */
  name?: string;
  /** Whether SIGTERM and SIGINT begin a graceful stop, and a second one an immediate; true if left out. */
  handleSignals?: boolean;
  /**
   * Ends this process when handlers go on although others may have their jobs by now: the last resort against running a
   * job twice at once. False if left out, true in `jobforge-worker`.
   */
  exitWhenLost?: boolean;
  logger?: Logger;
}
