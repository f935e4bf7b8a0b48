/** Why a handler has to stop: the `reason` of its signal. */

/** Base of all reasons, for `instanceof`. */
export abstract class StopReason extends Error {
  override name = this.constructor.name;
}

/** A person or program canceled the job. */
export class JobCanceled extends StopReason {
  constructor() {
    super("the job was canceled");
  }
}

/** The job is no longer this worker's; it may run elsewhere already. */
export class LeaseLost extends StopReason {
  constructor(why: string) {
    super(`the job is no longer this worker's: ${why}`);
  }
}

/** The attempt took too long, or went too long without progress. */
export class Timeout extends StopReason {
  readonly kind: "timeout" | "no_progress";

  constructor(kind: "timeout" | "no_progress", limitMs: number) {
    super(kind === "timeout" ? `the attempt took longer than ${limitMs} ms` : `no progress for ${limitMs} ms`);
    this.kind = kind;
  }
}

/** The worker stops; what has not ended by itself is given back and costs no attempt. */
export class Shutdown extends StopReason {
  constructor() {
    super("the worker stops");
  }
}

/** An abort signal whose reason is one of ours. */
export interface JobSignal extends AbortSignal {
  readonly reason: StopReason;
}
