import type { Context, JobInfo } from "../context.js";
import type { JobSignal, StopReason } from "../stop.js";
import type { Items } from "../wire.js";

/** A context for running a handler without worker and server. It records what the handler reports. */
export class TestContext implements Context {
  readonly job: JobInfo;
  readonly checkpoint: unknown;
  readonly signal: JobSignal;
  /** What was reported, oldest first. */
  readonly reports: { percent?: number; message?: string; phase?: string }[] = [];
  readonly lines: string[] = [];
  readonly saved: unknown[] = [];
  readonly items: Items = { processed: 0, failed: 0, skipped: 0 };
  private readonly stopping = new AbortController();

  constructor(job: Partial<JobInfo> & { checkpoint?: unknown } = {}) {
    const { checkpoint, ...given } = job;
    this.checkpoint = checkpoint;
    this.signal = this.stopping.signal as JobSignal;
    this.job = {
      id: "00000000-0000-7000-8000-000000000001",
      type: "test",
      tenantId: "default",
      queue: "default",
      priority: 0,
      attempt: 1,
      maxAttempts: 5,
      fence: 1,
      tags: [],
      enqueuedAt: new Date(),
      traceparent: undefined,
      ...given,
    };
  }

  /** Asks the handler to stop, as a worker does. */
  stop(reason: StopReason): void {
    this.stopping.abort(reason);
  }

  async progress(
    percent: number,
    message?: string,
    more: { phase?: string; checkpoint?: unknown } = {},
  ): Promise<void> {
    const { phase, checkpoint } = more;
    this.reports.push({
      percent,
      ...(message === undefined ? {} : { message }),
      ...(phase === undefined ? {} : { phase }),
    });
    if (checkpoint !== undefined) this.save(checkpoint);
    await Promise.resolve();
    this.signal.throwIfAborted();
  }

  phase(name: string): void {
    this.reports.push({ phase: name });
  }

  save(checkpoint: unknown): void {
    // As it comes back in a later attempt.
    this.saved.push(JSON.parse(JSON.stringify(checkpoint)));
  }

  count(items: Partial<Items>): void {
    this.items.processed += items.processed ?? 0;
    this.items.failed += items.failed ?? 0;
    this.items.skipped += items.skipped ?? 0;
  }

  log(line: string): void {
    this.lines.push(line);
  }
}
