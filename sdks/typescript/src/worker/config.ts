import { hostname } from "node:os";
import { JobForgeError } from "../errors.js";
import { stderrLogger, type Logger } from "../log.js";
import type { QueueSlots } from "../policy/claims.js";
import type { WorkOptions } from "./options.js";

const CONCURRENCY = 10;
const GRACE_MS = 25_000;

/** What a worker goes by, with every default filled in. */
export interface WorkerConfig {
  queues: QueueSlots[];
  concurrency: number;
  graceMs: number;
  name: string | undefined;
  host: string;
  exitWhenLost: boolean;
  logger: Logger;
}

export function configure(
  options: WorkOptions,
  taskQueues: Iterable<string | undefined>,
  env = process.env,
): WorkerConfig {
  const given = options.queues ??
    listed(env.JOBFORGE_QUEUES) ?? [...new Set([...taskQueues].map((queue) => queue ?? "default"))];
  const pairs: [string, number | undefined][] = isList(given)
    ? given.map((name) => [name, undefined])
    : Object.entries(given);
  if (pairs.length === 0) throw new JobForgeError('the worker has no queue; name one: { queues: ["default"] }');
  const sum = pairs.reduce((all, [, slots]) => all + (slots ?? 0), 0);
  const concurrency = options.concurrency ?? (sum || (count("JOBFORGE_SLOTS", env) ?? CONCURRENCY));
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new JobForgeError(`concurrency is ${concurrency}; give a whole number from 1`);
  }
  return {
    queues: pairs.map(([name, slots]) => ({ name, slots: slots ?? concurrency })),
    concurrency,
    graceMs: options.graceMs ?? count("SHUTDOWN_GRACE_MS", env) ?? GRACE_MS,
    name: options.name ?? (env.WORKER_NAME || undefined),
    host: hostname(),
    exitWhenLost: options.exitWhenLost ?? false,
    logger: options.logger ?? stderrLogger,
  };
}

function isList(queues: readonly string[] | Readonly<Record<string, number>>): queues is readonly string[] {
  return Array.isArray(queues);
}

/** Reads `default,mail=20`. */
function listed(text: string | undefined): string[] | Record<string, number> | undefined {
  const parts =
    text
      ?.split(",")
      .map((part) => part.trim())
      .filter(Boolean) ?? [];
  if (parts.length === 0) return undefined;
  if (!parts.some((part) => part.includes("="))) return parts;
  return Object.fromEntries(
    parts.map((part) => {
      const [name = "", slots] = part.split("=");
      return [name.trim(), slots === undefined ? CONCURRENCY : whole("JOBFORGE_QUEUES", slots)];
    }),
  );
}

function count(name: string, env: NodeJS.ProcessEnv): number | undefined {
  const text = env[name]?.trim();
  return text ? whole(name, text) : undefined;
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new JobForgeError(`${name} has "${text}"; give a whole number`);
}
