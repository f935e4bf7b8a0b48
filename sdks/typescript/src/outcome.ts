/** What a handler may throw to say how its attempt ended. */

export interface OutcomeOptions {
  /** A stable word for grouping, such as `smtp_451`. */
  kind?: string;
  /** Anything structured; kept with the attempt. */
  details?: unknown;
  cause?: unknown;
}

abstract class Outcome extends Error {
  override name = this.constructor.name;
  readonly kind: string | undefined;
  readonly details: unknown;

  constructor(message: string, options: OutcomeOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = options.kind;
    this.details = options.details;
  }
}

/** The attempt failed and another may succeed. Any other error means the same, with the job's own back-off. */
export class Retry extends Outcome {
  /** How long to wait, in place of the job's own back-off. */
  readonly afterMs: number | undefined;

  constructor(message: string, options: OutcomeOptions & { afterMs?: number } = {}) {
    super(message, options);
    this.afterMs = options.afterMs;
  }
}

/** The job failed for good, whatever attempts are left. */
export class Failed extends Outcome {}

/** The job failed and belongs to the dead letters, whatever attempts are left: a person has to look at it. */
export class Dead extends Outcome {}

/** The job wants to run later. Costs no attempt. */
export class Snooze extends Outcome {
  readonly afterMs: number;

  constructor(afterMs: number) {
    super(`snoozed for ${afterMs} ms`);
    this.afterMs = afterMs;
  }
}
