import { setImmediate } from "node:timers/promises";
import type { Context, JobInfo } from "../context.js";
import type { JobSignal } from "../stop.js";
import type { ClaimedJob, Items, Report } from "../wire.js";

/** The newest lines of a log that are kept, in characters. */
const LOG_LIMIT = 64 * 1024;
/** Reports of one job are passed on this often at most; what comes between is gathered. */
const PASS_ON_EVERY_MS = 100;

/** What a handler reports, gathered and passed on. */
export class AttemptContext implements Context {
  readonly job: JobInfo;
  readonly checkpoint: unknown;
  /** All that was reported in this attempt. */
  private whole: Report = {};
  private news: Report = {};
  private lines = "";
  private passedOn = -Infinity;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    job: ClaimedJob,
    readonly signal: JobSignal,
    private readonly passOn: (report: Report) => void,
    private readonly progressed: () => void,
  ) {
    this.checkpoint = job.checkpoint;
    this.job = {
      id: job.id,
      type: job.type,
      tenantId: job.tenant_id,
      queue: job.queue,
      priority: job.priority,
      attempt: job.attempt,
      maxAttempts: job.max_attempts,
      fence: job.fence,
      tags: job.tags,
      enqueuedAt: new Date(job.enqueued_at),
      traceparent: job.traceparent,
    };
  }

  async progress(
    percent: number,
    message?: string,
    more: { phase?: string; checkpoint?: unknown } = {},
  ): Promise<void> {
    const whole = Number.isFinite(percent) ? Math.round(Math.min(Math.max(percent, 0), 100)) : undefined;
    this.report({
      ...(whole === undefined ? {} : { percent: whole }),
      ...(message === undefined ? {} : { message: String(message) }),
      ...(more.phase === undefined ? {} : { phase: String(more.phase) }),
      ...(more.checkpoint === undefined ? {} : { checkpoint: copy(more.checkpoint) }),
    });
    await setImmediate();
    this.signal.throwIfAborted();
  }

  phase(name: string): void {
    this.report({ phase: String(name) });
  }

  save(checkpoint: unknown): void {
    this.report({ checkpoint: copy(checkpoint) });
  }

  count(items: Partial<Items>): void {
    const { processed = 0, failed = 0, skipped = 0 } = this.whole.items ?? {};
    const sum = {
      processed: processed + (items.processed ?? 0),
      failed: failed + (items.failed ?? 0),
      skipped: skipped + (items.skipped ?? 0),
    };
    this.report({ items: sum });
  }

  log(line: string): void {
    this.lines += `${line}\n`;
    if (this.lines.length > LOG_LIMIT) {
      const cut = this.lines.length - LOG_LIMIT;
      this.lines = this.lines.slice(this.lines.indexOf("\n", cut) + 1);
    }
    this.note({ log: this.lines });
  }

  /** All that was reported, to go with the result; `undefined` if that is nothing. */
  lastWords(): Report | undefined {
    clearTimeout(this.timer);
    return Object.keys(this.whole).length > 0 ? this.whole : undefined;
  }

  private report(report: Report): void {
    this.progressed();
    this.note(report);
  }

  private note(report: Report): void {
    Object.assign(this.whole, report);
    Object.assign(this.news, report);
    const wait = this.passedOn + PASS_ON_EVERY_MS - performance.now();
    if (wait <= 0) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), wait);
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.passedOn = performance.now();
    const { news } = this;
    this.news = {};
    this.passOn(news);
  }
}

/** A checkpoint as it will come back; throws here, in the handler, if it cannot be written as JSON. */
function copy(checkpoint: unknown): unknown {
  return JSON.parse(JSON.stringify(checkpoint) ?? "null");
}
