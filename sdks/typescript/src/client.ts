import { BATCH, HttpApi, type Api, type CallOptions } from "./api.js";
import { JobForgeError, PayloadTooLarge } from "./errors.js";
import { JobRef } from "./job-ref.js";
import type { SchemaInput, SchemaOutput, StandardSchema } from "./schema.js";
import { connection, type Connection } from "./settings.js";
import { Task, type Handler, type TaskOptions } from "./task.js";
import type { Job, JobDetail, JobFilter, JobPage, JobRequest } from "./wire.js";
import type { WorkOptions } from "./worker/options.js";
import { portion } from "./worker/portions.js";

/** Payloads beyond this make a queue slow for everybody; they are refused with advice, unless the server keeps them elsewhere. */
export const PAYLOAD_LIMIT_BYTES = 100 * 1024;
/** How long an answer of the server about its limits is believed. */
const LIMITS_KNOWN_MS = 60_000;

export interface JobForgeOptions {
  /** `http://host:port`, `https://host` or `unix:/path/jobforge.sock`; `JOBFORGE_URL` if left out, else `127.0.0.1:8080`. */
  url?: string;
  /** `JOBFORGE_TOKEN` if left out. */
  token?: string;
  /** What a job gets that says nothing itself, such as `{ tenant_id: "acme" }`. */
  defaults?: Omit<JobRequest, "payload" | "idempotency_key">;
  /** If left out, 100 KB, or what the server says if it keeps large payloads outside of its database. */
  payloadLimitBytes?: number;
}

export interface EnqueueManyOptions extends CallOptions {
  idempotencyKey?: string;
}

/** A client of one server, the tasks that are defined with it, and workers that run them. */
export class JobForge implements AsyncDisposable {
  /** The tasks by their type. */
  readonly tasks = new Map<string, Task<never, never, unknown>>();
  /** @internal */
  readonly connection: Connection;
  /** @internal Replaced by the helpers of tests. */
  api: Api;
  private readonly defaults: JobRequest;
  private readonly payloadLimit: number | undefined;
  private limits: { most: number; until: number } | undefined;

  constructor(options: JobForgeOptions = {}) {
    this.connection = connection(options.url, options.token);
    this.api = new HttpApi(this.connection);
    this.defaults = options.defaults ?? {};
    this.payloadLimit = options.payloadLimitBytes;
  }

  /** Defines a task: `jf.task<Payload, Result>("type", async (payload, ctx) => …)`. */
  task<P = unknown, R = unknown>(type: string, handler: Handler<P, R>): Task<P, P, R>;
  /** Defines a task whose payload is checked by a schema, when it is enqueued and before it runs. */
  task<S extends StandardSchema, R>(
    type: string,
    options: TaskOptions & { schema: S },
    handler: Handler<SchemaOutput<S>, R>,
  ): Task<SchemaInput<S>, SchemaOutput<S>, R>;
  /** Defines a task with options. */
  task<P = unknown, R = unknown>(
    type: string,
    options: TaskOptions & { schema?: never },
    handler: Handler<P, R>,
  ): Task<P, P, R>;
  task(
    type: string,
    second: TaskOptions | Handler<never, unknown>,
    third?: Handler<never, unknown>,
  ): Task<never, never, unknown> {
    const options = typeof second === "function" ? {} : second;
    const handler = typeof second === "function" ? second : third;
    if (!handler) throw new JobForgeError(`task ${type} has no handler; give a function as the last argument`);
    if (this.tasks.has(type)) throw new JobForgeError(`task ${type} is defined twice`);
    const task = new Task<never, never, unknown>(this, type, options, handler);
    this.tasks.set(type, task);
    return task;
  }

  /** Enqueues one job, given in the words of the HTTP API. Safe to repeat if it has an `idempotency_key`. */
  async enqueueJob(job: JobRequest, options?: CallOptions): Promise<JobRef> {
    const whole = this.complete(job);
    await this.checkSizes([whole], options);
    const { id, created } = await this.api.enqueue(whole, options);
    return new JobRef(this.api, id, created);
  }

  /**
   * Enqueues many jobs with few calls: a thousand of them, or 4 MiB, with each, all or none. With an `idempotencyKey` the call may be repeated:
   * a job without a key of its own gets that one with its place, `KEY/0`, `KEY/1` and so on.
   */
  async enqueueMany(
    jobs: Iterable<JobRequest>,
    { idempotencyKey, ...options }: EnqueueManyOptions = {},
  ): Promise<JobRef[]> {
    const requests = Array.from(jobs, (job, place) =>
      this.complete(idempotencyKey === undefined ? job : { idempotency_key: `${idempotencyKey}/${place}`, ...job }),
    );
    const refs: JobRef[] = [];
    await this.checkSizes(requests, options);
    for (let rest = requests; rest.length > 0;) {
      const some = portion(rest, BATCH);
      rest = rest.slice(some.length);
      // A single job may be larger than what a call of many takes.
      const receipts =
        some.length === 1
          ? [await this.api.enqueue(some[0]!, options)]
          : await this.api.enqueueMany(some, options);
      refs.push(...receipts.map(({ id, created }) => new JobRef(this.api, id, created)));
    }
    return refs;
  }

  /** A job that was enqueued before, to wait for its result. */
  job<R = unknown>(id: string): JobRef<R> {
    return new JobRef<R>(this.api, id, false);
  }

  get(id: string, options?: CallOptions): Promise<JobDetail> {
    return this.api.get(id, options);
  }

  /** One page of jobs, newest first. */
  list(filter: JobFilter = {}, options?: CallOptions): Promise<JobPage> {
    return this.api.list(filter, options);
  }

  /** All jobs that fit, newest first, page after page. */
  async *jobs(filter: Omit<JobFilter, "before"> = {}, options?: CallOptions): AsyncGenerator<Job> {
    let before: string | null | undefined;
    do {
      const page: JobPage = await this.api.list(before ? { ...filter, before } : filter, options);
      yield* page.jobs;
      before = page.next;
    } while (before);
  }

  cancel(id: string, options?: CallOptions): Promise<Job> {
    return this.api.act(id, "cancel", options);
  }

  /** Runs an ended job again, with a fresh budget of attempts. */
  retry(id: string, options?: CallOptions): Promise<Job> {
    return this.api.act(id, "retry", options);
  }

  delete(id: string, options?: CallOptions): Promise<void> {
    return this.api.remove(id, options);
  }

  /** What the handler logged, one entry for each attempt. */
  logs(id: string, options?: CallOptions): Promise<{ attempt: number; text: string }[]> {
    return this.api.logs(id, options);
  }

  /** What the job is now, why, and what happens next. */
  explain(id: string, options?: CallOptions): Promise<{ kind: string; headline: string }> {
    return this.api.explain(id, options);
  }

  /** Runs jobs of the tasks that are defined, until the signal fires or the process is told to end; returns when drained. */
  async work(options: WorkOptions = {}): Promise<void> {
    // Loaded when it is needed: a program that only enqueues has no use for it.
    const { work } = await import("./worker/work.js");
    await work(this, options);
  }

  /** Closes idle connections. The client may still be used. */
  close(): void {
    this.api.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** Refuses payloads that are too large. What the server takes is asked only if one may be. */
  private async checkSizes(jobs: JobRequest[], options?: CallOptions): Promise<void> {
    for (const { type, payload } of jobs) {
      const bytes = Buffer.byteLength(JSON.stringify(payload) ?? "");
      if (bytes <= (this.payloadLimit ?? PAYLOAD_LIMIT_BYTES)) continue;
      const most = this.payloadLimit ?? (await this.mostBytes(options));
      if (bytes > most) throw new PayloadTooLarge(type, bytes, most);
    }
  }

  private async mostBytes(options?: CallOptions): Promise<number> {
    const now = performance.now();
    if (!this.limits || this.limits.until < now) {
      const { payload_bytes, payload_store } = await this.api.limits(options);
      this.limits = { most: payload_store ? payload_bytes : PAYLOAD_LIMIT_BYTES, until: now + LIMITS_KNOWN_MS };
    }
    return this.limits.most;
  }

  private complete(job: JobRequest): JobRequest {
    const whole = { ...this.defaults, ...job };
    if (!whole.type)
      throw new JobForgeError("the job has no type; give one, or a default: new JobForge({ defaults: { type } })");
    return whole;
  }
}
