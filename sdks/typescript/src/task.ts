import type { Context } from "./context.js";
import type { JobForge } from "./client.js";
import type { JobRef } from "./job-ref.js";
import { validate, type StandardSchema } from "./schema.js";
import type { JobRequest, RetryPolicy } from "./wire.js";

/** How a job of a task is made; each may be given for the task, and again when a job is enqueued. */
export interface JobOptions {
  queue?: string;
  /** Lower runs first; 0 if left out. */
  priority?: number;
  maxAttempts?: number;
  /** Bound on one attempt; the handler's signal fires then. */
  timeoutMs?: number;
  /** Bound on the time between two reports of progress. */
  progressTimeoutMs?: number;
  retry?: { baseMs?: number; factor?: number; maxMs?: number; jitter?: number };
  tags?: string[];
}

/** How one job is made. */
export interface EnqueueOptions extends JobOptions {
  tenantId?: string;
  /** At most one job per tenant, type and key, for as long as the job exists. */
  idempotencyKey?: string;
  runAt?: Date | string;
  delayMs?: number;
  traceparent?: string;
}

export interface TaskOptions extends JobOptions {
  schema?: StandardSchema;
}

export type Handler<P, R> = (payload: P, ctx: Context) => R | Promise<R>;

/** A job type with its handler: `I` is what is enqueued, `P` what the handler gets, `R` what it returns. */
export class Task<I, P, R> {
  /** @internal */
  constructor(
    readonly client: JobForge,
    readonly type: string,
    readonly options: TaskOptions,
    private readonly handler: Handler<P, R>,
  ) {}

  /** Enqueues a job. A payload that does not fit the schema is refused before anything is sent. */
  async enqueue(payload: I, options: EnqueueOptions = {}): Promise<JobRef<R>> {
    return (await this.client.enqueueJob(await this.request(payload, options))) as JobRef<R>;
  }

  /** Enqueues many jobs with the same options; see {@link JobForge.enqueueMany} for what their `idempotencyKey` is. */
  async enqueueMany(payloads: Iterable<I>, { idempotencyKey, ...options }: EnqueueOptions = {}): Promise<JobRef<R>[]> {
    const requests = await Promise.all(Array.from(payloads, (payload) => this.request(payload, options)));
    return (await this.client.enqueueMany(
      requests,
      idempotencyKey === undefined ? {} : { idempotencyKey },
    )) as JobRef<R>[];
  }

  /** Checks a payload and runs the handler with it, as a worker does. */
  async run(payload: unknown, ctx: Context): Promise<R> {
    const { schema } = this.options;
    const input = schema ? await validate(schema, this.type, payload) : payload;
    return this.handler(input as P, ctx);
  }

  private async request(payload: I, options: EnqueueOptions): Promise<JobRequest> {
    const { schema } = this.options;
    // What is sent is the input: the worker applies the schema again, and a transformation is not to happen twice.
    if (schema) await validate(schema, this.type, payload);
    return { type: this.type, payload, ...wireOptions({ ...this.options, ...options }) };
  }
}

function wireOptions(options: EnqueueOptions): JobRequest {
  const { runAt, retry } = options;
  const wire: { [K in keyof JobRequest]: JobRequest[K] | undefined } = {
    tenant_id: options.tenantId,
    idempotency_key: options.idempotencyKey,
    queue: options.queue,
    priority: options.priority,
    run_at: runAt instanceof Date ? runAt.toISOString() : runAt,
    delay_ms: options.delayMs,
    max_attempts: options.maxAttempts,
    timeout_ms: options.timeoutMs,
    progress_timeout_ms: options.progressTimeoutMs,
    retry: retry && wireRetry(retry),
    tags: options.tags,
    traceparent: options.traceparent,
  };
  return Object.fromEntries(Object.entries(wire).filter(([, value]) => value !== undefined));
}

function wireRetry({ baseMs, factor, maxMs, jitter }: NonNullable<JobOptions["retry"]>): RetryPolicy {
  const wire = { base_ms: baseMs, factor, max_ms: maxMs, jitter };
  return Object.fromEntries(Object.entries(wire).filter(([, value]) => value !== undefined));
}
