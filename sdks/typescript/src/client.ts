import { BATCH, HttpApi, type Api, type CallOptions } from "./api.js";
import { JobForgeError, PayloadTooLarge } from "./errors.js";
import { JobRef } from "./job-ref.js";
import type { SchemaInput, SchemaOutput, StandardSchema } from "./schema.js";
import { connection, type Connection } from "./settings.js";
import { Task, type Handler, type TaskOptions } from "./task.js";
import type { Job, JobDetail, JobFilter, JobPage, JobRequest } from "./wire.js";
import type { WorkOptions } from "./worker/options.js";

/** Payloads beyond this make a queue slow for everybody; they are refused with advice. */
export const PAYLOAD_LIMIT_BYTES = 100 * 1024;

export interface JobForgeOptions {
  /** `http://host:port`, `https://host` or `unix:/path/jobforge.sock`; `JOBFORGE_URL` if left out, else `127.0.0.1:8080`. */
  url?: string;
  /** `JOBFORGE_TOKEN` if left out. */
  token?: string;
  /** What a job gets that says nothing itself, such as `{ tenant_id: "acme" }`. */
  defaults?: Omit<JobRequest, "payload" | "idempotency_key">;
  /** 100 KB if left out; the server takes up to 1 MiB. */
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
  private readonly payloadLimit: number;

  constructor(options: JobForgeOptions = {}) {
    this.connection = connection(options.url, options.token);
    this.api = new HttpApi(this.connection);
    this.defaults = options.defaults ?? {};
    this.payloadLimit = options.payloadLimitBytes ?? PAYLOAD_LIMIT_BYTES;
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
    const { id, created } = await this.api.enqueue(this.complete(job), options);
    return new JobRef(this.api, id, created);
  }

  /**
   * Enqueues many jobs with few calls; each thousand of them all or none. With an `idempotencyKey` the call may be repeated:
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
    for (let from = 0; from < requests.length; from += BATCH) {
      const receipts = await this.api.enqueueMany(requests.slice(from, from + BATCH), options);
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

  private complete(job: JobRequest): JobRequest {
    const whole = { ...this.defaults, ...job };
    const bytes = Buffer.byteLength(JSON.stringify(whole.payload) ?? "");
    if (bytes > this.payloadLimit) throw new PayloadTooLarge(whole.type, bytes, this.payloadLimit);
    if (!whole.type)
      throw new JobForgeError("the job has no type; give one, or a default: new JobForge({ defaults: { type } })");
    return whole;
  }
}
