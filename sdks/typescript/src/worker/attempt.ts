import { Failed } from "../outcome.js";
import { JobCanceled, LeaseLost, Shutdown, Timeout, type JobSignal, type StopReason } from "../stop.js";
import type { Task } from "../task.js";
import type { ClaimedJob, JobResult, Report } from "../wire.js";
import { AttemptContext } from "./attempt-context.js";
import { returned, threw, timedOut, type Ending } from "./ending.js";

/** How long a handler may take to stop before its worker goes on without it. */
export const STOP_GRACE_MS = 5_000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface AttemptEvents {
  /** The handler has something to say. */
  report(attempt: Attempt, report: Report): void;
  /** The attempt is over for the worker; without a result there is nothing to tell. */
  ended(attempt: Attempt, result: JobResult | undefined): void;
  /** The handler goes on although it was asked to stop a while ago. */
  ignoresStop(attempt: Attempt, reason: StopReason): void;
  /** The handler has returned, however late. */
  settled(attempt: Attempt): void;
}

/** One run of one handler, from the claim to the moment at which nothing of it goes on any more. */
export class Attempt {
  private readonly stopping = new AbortController();
  private readonly context: AttemptContext;
  private readonly timers = new Set<NodeJS.Timeout>();
  private stillTimer: NodeJS.Timeout | undefined;
  private over = false;
  /** Whether it ended without anything to tell. */
  dropped = false;

  constructor(
    readonly workerId: string,
    readonly job: ClaimedJob,
    private readonly task: Task<never, never, unknown> | undefined,
    private readonly events: AttemptEvents,
    private readonly payload: (job: ClaimedJob, signal: AbortSignal) => Promise<unknown>,
  ) {
    const signal = this.stopping.signal as JobSignal;
    const passOn = (report: Report) => {
      if (!this.over) events.report(this, report);
    };
    this.context = new AttemptContext(job, signal, passOn, () => this.progressed());
  }

  async run(): Promise<void> {
    const { timeout_ms: limit } = this.job;
    if (limit !== undefined) this.after(limit, () => this.stop(new Timeout("timeout", limit)));
    this.progressed();
    let ending: Ending;
    try {
      if (!this.task) throw new Failed(`this worker has no task ${this.job.type}`, { kind: "unknown_type" });
      const payload = this.job.payload_stored ? await this.payload(this.job, this.stopping.signal) : this.job.payload;
      ending = returned(await this.task.run(payload, this.context));
    } catch (error) {
      ending = threw(error, this.stopReason);
    }
    this.end(ending);
    for (const timer of this.timers) clearTimeout(timer);
    this.events.settled(this);
  }

  /** Asks the handler to stop. Nothing is told of a job that is no longer ours. */
  stop(reason: StopReason): void {
    if (this.over || this.stopReason instanceof LeaseLost || this.stopReason instanceof JobCanceled) return;
    const first = this.stopReason === undefined;
    this.stopping.abort(reason);
    const taken = reason instanceof JobCanceled || reason instanceof LeaseLost;
    if (taken) this.end(undefined);
    if (!first) return;
    this.timers.add(
      setTimeout(() => {
        this.events.ignoresStop(this, reason);
        if (reason instanceof Timeout) this.end(timedOut(reason));
        if (reason instanceof Shutdown) this.end({ outcome: "released" });
      }, STOP_GRACE_MS),
    );
  }

  private get stopReason(): StopReason | undefined {
    return this.stopping.signal.reason as StopReason | undefined;
  }

  private end(ending: Ending | undefined): void {
    if (this.over) return;
    this.over = true;
    this.dropped = ending === undefined;
    const report = this.context.lastWords();
    const { id, fence } = this.job;
    this.events.ended(this, ending && { id, fence, ...ending, ...(report ? { report } : {}) });
  }

  private progressed(): void {
    const { progress_timeout_ms: limit } = this.job;
    if (limit === undefined || this.over) return;
    this.clear(this.stillTimer);
    this.stillTimer = this.after(limit, () => this.stop(new Timeout("no_progress", limit)));
  }

  private after(ms: number, then: () => void): NodeJS.Timeout {
    const timer = setTimeout(then, Math.min(ms, LONGEST_TIMER_MS));
    this.timers.add(timer);
    return timer;
  }

  private clear(timer: NodeJS.Timeout | undefined): void {
    clearTimeout(timer);
    if (timer) this.timers.delete(timer);
  }
}
