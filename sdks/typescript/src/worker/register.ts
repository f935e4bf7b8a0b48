import { randomBytes } from "node:crypto";
import { sleep } from "../clock.js";
import { ApiError } from "../errors.js";
import { backoff } from "../policy/backoff.js";
import type { Task } from "../task.js";
import type { Transport } from "../transport.js";
import { version } from "../version.js";
import type { Registration } from "../wire.js";
import type { Bounds } from "./claimer.js";
import type { WorkerConfig } from "./config.js";

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 5_000;

/** Registers a new incarnation, as soon as the server lets it; `undefined` if it is stopped before. Throws if it is refused. */
export async function register(
  transport: Transport,
  { name, host, queues, concurrency, logger }: WorkerConfig,
  types: string[],
  now: () => number,
  stop: AbortSignal,
): Promise<{ registration: Registration; sent: number } | undefined> {
  const request = {
    worker_id: newWorkerId(),
    ...(name ? { name } : {}),
    host,
    pid: process.pid,
    sdk: `jobforge-typescript/${version}`,
    queues: queues.map((queue) => queue.name),
    types,
    slots: concurrency,
  };
  for (let failures = 1; !stop.aborted; failures += 1) {
    const sent = now();
    try {
      return { registration: await transport.call("POST", "/v1/worker/register", request), sent };
    } catch (error) {
      if (error instanceof ApiError && error.code === "worker_id_taken") request.worker_id = newWorkerId();
      else if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
      if (failures === 1) logger.warn(`failed to register; trying again: ${String(error)}`);
      await sleep(backoff(failures, FIRST_WAIT_MS, LONGEST_WAIT_MS), stop);
    }
  }
  return undefined;
}

/** Chosen here, so that a registration that is sent again makes the same worker. */
function newWorkerId(): string {
  return `worker-${randomBytes(4).toString("hex")}`;
}

/** What jobs are kept to that were enqueued without the bounds of their task. */
export function boundsOf(tasks: Iterable<Task<never, never, unknown>>): Bounds {
  const timeout: Record<string, number> = {};
  const progress: Record<string, number> = {};
  for (const { type, options } of tasks) {
    if (options.timeoutMs !== undefined) timeout[type] = options.timeoutMs;
    if (options.progressTimeoutMs !== undefined) progress[type] = options.progressTimeoutMs;
  }
  return {
    ...(Object.keys(timeout).length > 0 ? { timeout: { by_type: timeout } } : {}),
    ...(Object.keys(progress).length > 0 ? { progress: { by_type: progress } } : {}),
  };
}
