import { sleep } from "./clock.js";
import { retryIn } from "./policy/retry.js";
import { Transport } from "./transport.js";
import type { Connection } from "./settings.js";
import type { Job, JobDetail, JobFilter, JobPage, JobRequest, Limits, Receipt } from "./wire.js";

/** Most jobs of one request. */
export const BATCH = 1000;

export interface CallOptions {
  /** Why, for the audit log. */
  reason?: string;
  signal?: AbortSignal;
}

/** What a client needs of a server; the tests' helper keeps jobs in memory behind the same. */
export interface Api {
  enqueue(job: JobRequest, options?: CallOptions): Promise<Receipt>;
  /** All or none; at most {@link BATCH}. */
  enqueueMany(jobs: JobRequest[], options?: CallOptions): Promise<Receipt[]>;
  limits(options?: CallOptions): Promise<Limits>;
  get(id: string, options?: CallOptions): Promise<JobDetail>;
  list(filter: JobFilter, options?: CallOptions): Promise<JobPage>;
  act(id: string, action: "cancel" | "retry", options?: CallOptions): Promise<Job>;
  remove(id: string, options?: CallOptions): Promise<void>;
  logs(id: string, options?: CallOptions): Promise<{ attempt: number; text: string }[]>;
  explain(id: string, options?: CallOptions): Promise<{ kind: string; headline: string }>;
  close(): void;
}

/** Speaks HTTP, and repeats what may be repeated. */
export class HttpApi implements Api {
  private readonly transport: Transport;

  constructor(connection: Connection) {
    this.transport = new Transport(connection);
  }

  enqueue(job: JobRequest, options?: CallOptions): Promise<Receipt> {
    return this.call("POST", "/v1/jobs", job, job.idempotency_key !== undefined, options);
  }

  async enqueueMany(jobs: JobRequest[], options?: CallOptions): Promise<Receipt[]> {
    const safe = jobs.every((job) => job.idempotency_key !== undefined);
    const answer = await this.call<{ jobs: Receipt[] }>("POST", "/v1/jobs/many", { jobs }, safe, options);
    return answer.jobs;
  }

  limits(options?: CallOptions): Promise<Limits> {
    return this.call("GET", "/v1/limits", undefined, true, options);
  }

  get(id: string, options?: CallOptions): Promise<JobDetail> {
    return this.call("GET", pathOf(id), undefined, true, options);
  }

  list(filter: JobFilter, options?: CallOptions): Promise<JobPage> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(filter)) {
      if (value !== undefined) query.set(name, String(value));
    }
    return this.call("GET", `/v1/jobs?${query}`, undefined, true, options);
  }

  act(id: string, action: "cancel" | "retry", options?: CallOptions): Promise<Job> {
    // A second cancel is answered like the first; a second retry might run the job once more.
    return this.call("POST", `${pathOf(id)}/${action}`, undefined, action === "cancel", options);
  }

  remove(id: string, options?: CallOptions): Promise<void> {
    return this.call("DELETE", pathOf(id), undefined, false, options);
  }

  async logs(id: string, options?: CallOptions): Promise<{ attempt: number; text: string }[]> {
    const answer = await this.call<{ logs: { attempt: number; text: string }[] }>(
      "GET",
      `${pathOf(id)}/logs`,
      undefined,
      true,
      options,
    );
    return answer.logs;
  }

  explain(id: string, options?: CallOptions): Promise<{ kind: string; headline: string }> {
    return this.call("GET", `${pathOf(id)}/explain`, undefined, true, options);
  }

  close(): void {
    this.transport.close();
  }

  private async call<Answer>(
    method: string,
    path: string,
    body: unknown,
    safe: boolean,
    { reason, signal }: CallOptions = {},
  ): Promise<Answer> {
    const began = performance.now();
    const options = {
      ...(signal ? { signal } : {}),
      ...(reason ? { headers: { "x-reason": reason } } : {}),
    };
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.transport.call<Answer>(method, path, body, options);
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        const wait = retryIn(error, tries, performance.now() - began, safe, Math.random());
        if (wait === undefined) throw error;
        await sleep(wait, signal);
      }
    }
  }
}

function pathOf(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}
