import type { JobSignal } from "./stop.js";
import type { Items } from "./wire.js";

/** The job that a handler runs. */
export interface JobInfo {
  readonly id: string;
  readonly type: string;
  readonly tenantId: string;
  readonly queue: string;
  readonly priority: number;
  /** Which attempt this is, from 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /**
   * Grows with every attempt. Hand it to whatever the handler writes to, so that a receiver can refuse an older one.
   */
  readonly fence: number;
  readonly tags: readonly string[];
  readonly enqueuedAt: Date;
  readonly traceparent: string | undefined;
}

/** What a handler is given besides its payload. */
export interface Context {
  readonly job: JobInfo;
  /** Fires when the handler has to stop; its reason says why. Pass it on to `fetch` and the like. */
  readonly signal: JobSignal;
  /** What an earlier attempt saved last, or `undefined`. */
  readonly checkpoint: unknown;

  /**
   * Says how far the work is, for people. Gives other work of the process a turn, and throws the signal's reason if the
   * handler has to stop: a loop that awaits this needs no other care.
   */
  progress(percent: number, message?: string, more?: { phase?: string; checkpoint?: unknown }): Promise<void>;
  /** Names the phase that begins. */
  phase(name: string): void;
  /** Keeps something for a later attempt to go on from. */
  save(checkpoint: unknown): void;
  /** Adds to the items that this attempt has counted. */
  count(items: Partial<Items>): void;
  /** Adds a line to the job's log; the newest are kept. */
  log(line: string): void;
}
