import { randomUUID } from "node:crypto";
import type { Api } from "../api.js";
import type { JobForge } from "../client.js";
import { ApiError } from "../errors.js";
import { returned, threw, type Ending } from "../worker/ending.js";
import type { Job, JobDetail, JobFilter, JobPage, JobRequest, Limits, Receipt, Status } from "../wire.js";
import { TestContext } from "./context.js";

/** Keeps the jobs of a client in memory: they are recorded, and run when a test says so. */
export class MemoryQueue implements Api {
  private readonly kept = new Map<string, JobDetail>();
  private readonly logged = new Map<string, string[]>();
  private readonly checkpoints = new Map<string, unknown>();

  /** @internal */
  constructor(
    private readonly jf: JobForge,
    private readonly before: Api,
  ) {}

  /** The jobs that were enqueued, oldest first. */
  get enqueued(): JobDetail[] {
    return [...this.kept.values()];
  }

  /** The jobs of one type. */
  enqueuedOf(type: string): JobDetail[] {
    return this.enqueued.filter((job) => job.type === type);
  }

  /** Runs what is queued, and what that enqueues, until nothing is; waits are skipped. Returns how many attempts were made. */
  async drain(): Promise<number> {
    let attempts = 0;
    for (let job = this.next(); job; job = this.next()) {
      await this.attempt(job);
      attempts += 1;
    }
    return attempts;
  }

  /** Lets the client speak to its server again. */
  restore(): void {
    this.jf.api = this.before;
  }

  /** As a server answers that keeps no large payloads. */
  async limits(): Promise<Limits> {
    return { payload_bytes: 1024 * 1024, payload_store: false };
  }

  async enqueue(request: JobRequest): Promise<Receipt> {
    const { type = "", tenant_id = "default", idempotency_key = null } = request;
    const known = this.enqueued.find(
      (job) =>
        idempotency_key !== null &&
        job.type === type &&
        job.tenant_id === tenant_id &&
        job.idempotency_key === idempotency_key,
    );
    if (known) return { id: known.id, created: false };
    const id = randomUUID();
    const now = new Date().toISOString();
    this.kept.set(id, {
      id,
      type,
      tenant_id,
      idempotency_key,
      queue: request.queue ?? "default",
      status: "queued",
      // As it comes out at the other end.
      payload: JSON.parse(JSON.stringify(request.payload ?? {})),
      priority: request.priority ?? 0,
      attempts: 0,
      max_attempts: request.max_attempts ?? 5,
      run_at: request.run_at ?? now,
      created_at: now,
      started_at: null,
      finished_at: null,
      heartbeat_at: null,
      locked_by: null,
      lease: 0,
      error: null,
      progress: { percent: null, message: null, phase: null, at: null },
      items: { processed: 0, failed: 0, skipped: 0 },
      tags: request.tags ?? [],
      timeout_ms: request.timeout_ms ?? null,
      progress_timeout_ms: request.progress_timeout_ms ?? null,
      result: null,
      attempts_made: [],
    });
    return { id, created: true };
  }

  async enqueueMany(requests: JobRequest[]): Promise<Receipt[]> {
    return Promise.all(requests.map((request) => this.enqueue(request)));
  }

  async get(id: string): Promise<JobDetail> {
    const job = this.kept.get(id);
    if (job) return job;
    throw new ApiError(`GET /v1/jobs/${id}`, 404, { code: "job_not_found", detail: `there is no job ${id}` });
  }

  async list(filter: JobFilter): Promise<JobPage> {
    const statuses = filter.status === undefined ? undefined : [filter.status].flat();
    const jobs = this.enqueued
      .reverse()
      .filter(
        (job) =>
          (statuses?.includes(job.status) ?? true) &&
          job.type === (filter.type ?? job.type) &&
          job.queue === (filter.queue ?? job.queue) &&
          job.tenant_id === (filter.tenant_id ?? job.tenant_id) &&
          job.idempotency_key === (filter.idempotency_key ?? job.idempotency_key) &&
          (filter.tag === undefined || job.tags.includes(filter.tag)),
      );
    return { jobs: jobs.slice(0, filter.limit ?? 100) };
  }

  async act(id: string, action: "cancel" | "retry"): Promise<Job> {
    const job = await this.get(id);
    if (action === "cancel" && job.status === "queued") job.status = "canceled";
    if (action === "retry") Object.assign(job, { status: "queued", attempts: 0, error: null, finished_at: null });
    return job;
  }

  async remove(id: string): Promise<void> {
    await this.get(id);
    this.kept.delete(id);
  }

  async logs(id: string): Promise<{ attempt: number; text: string }[]> {
    const lines = this.logged.get(id) ?? [];
    return lines.length === 0 ? [] : [{ attempt: (await this.get(id)).attempts, text: lines.join("\n") }];
  }

  async explain(id: string): Promise<{ kind: string; headline: string }> {
    const { status } = await this.get(id);
    return { kind: status, headline: `the job is ${status}` };
  }

  close(): void {
    // Nothing is open.
  }

  private next(): JobDetail | undefined {
    return this.enqueued
      .filter((job) => job.status === "queued" && this.jf.tasks.has(job.type))
      .sort((a, b) => a.priority - b.priority)[0];
  }

  private async attempt(job: JobDetail): Promise<void> {
    job.attempts += 1;
    job.lease += 1;
    job.status = "running";
    const ctx = new TestContext({
      id: job.id,
      type: job.type,
      tenantId: job.tenant_id,
      queue: job.queue,
      priority: job.priority,
      attempt: job.attempts,
      maxAttempts: job.max_attempts,
      fence: job.lease,
      tags: job.tags,
      checkpoint: this.checkpoints.get(job.id),
    });
    let ending: Ending;
    try {
      ending = returned(await this.jf.tasks.get(job.type)?.run(job.payload, ctx));
    } catch (error) {
      ending = threw(error, undefined);
    }
    if (ctx.saved.length > 0) this.checkpoints.set(job.id, ctx.saved.at(-1));
    this.logged.set(job.id, ctx.lines);
    for (const report of ctx.reports) Object.assign(job.progress, report);
    job.items = { ...ctx.items };
    settle(job, ending);
  }
}

function settle(job: JobDetail, { outcome, result, error }: Ending): void {
  const spent = job.attempts >= job.max_attempts;
  const after: Record<Ending["outcome"], Status> = {
    succeeded: "succeeded",
    failed: "failed",
    dead: "dead",
    retry: spent ? "dead" : "queued",
    snoozed: "queued",
    released: "queued",
  };
  job.status = after[outcome];
  if (outcome === "snoozed" || outcome === "released") job.attempts -= 1;
  job.result = result ?? null;
  job.error = error ? { kind: "error", retryable: outcome === "retry", ...error } : null;
  if (job.status !== "queued") job.finished_at = new Date().toISOString();
}

/** Makes a client keep its jobs in memory, until {@link MemoryQueue.restore}. */
export function inMemory(jf: JobForge): MemoryQueue {
  const queue = new MemoryQueue(jf, jf.api);
  jf.api = queue;
  return queue;
}
