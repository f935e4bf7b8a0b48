import type { Api, CallOptions } from "./api.js";
import { sleep } from "./clock.js";
import { JobEnded, WaitTimeout } from "./errors.js";
import { backoff } from "./policy/backoff.js";
import type { Job, JobDetail } from "./wire.js";

const FIRST_LOOK_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

export interface WaitOptions {
  /** Throws {@link WaitTimeout} when the job has not ended by then. Without it there is no bound. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** A job that was enqueued, and what it will return. */
export class JobRef<R = unknown> {
  /** @internal */
  constructor(
    private readonly api: Api,
    readonly id: string,
    /** False if a job with the same idempotency key was there already. */
    readonly created: boolean,
  ) {}

  get(options?: CallOptions): Promise<JobDetail> {
    return this.api.get(this.id, options);
  }

  cancel(options?: CallOptions): Promise<Job> {
    return this.api.act(this.id, "cancel", options);
  }

  retry(options?: CallOptions): Promise<Job> {
    return this.api.act(this.id, "retry", options);
  }

  /** Waits until the job has succeeded and returns its result; throws {@link JobEnded} if it ends otherwise. */
  async result(options: WaitOptions = {}): Promise<R> {
    const until = performance.now() + (options.timeoutMs ?? Infinity);
    for (let looks = 1; ; looks += 1) {
      const job = await this.api.get(this.id, options.signal ? { signal: options.signal } : {});
      if (job.status === "succeeded") return job.result as R;
      if (job.status !== "queued" && job.status !== "running") throw new JobEnded(job.id, job.status, job.error);
      const left = until - performance.now();
      if (left <= 0) throw new WaitTimeout(`job ${this.id} is still ${job.status} after ${options.timeoutMs} ms`);
      await sleep(Math.min(backoff(looks, FIRST_LOOK_MS, LONGEST_PAUSE_MS), left), options.signal);
      options.signal?.throwIfAborted();
    }
  }
}
