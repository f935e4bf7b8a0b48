import { JobForgeError } from "./errors.js";
import type { Registration } from "./wire.js";

const DEFAULT_URL = "http://127.0.0.1:8080";

/** Where the server is and who asks. */
export interface Connection {
  url: string;
  token: string | undefined;
}

/** Reads `JOBFORGE_URL` and `JOBFORGE_TOKEN` where the program says nothing else. */
export function connection(url?: string, token?: string, env = process.env): Connection {
  return { url: url || env.JOBFORGE_URL || DEFAULT_URL, token: token || env.JOBFORGE_TOKEN || undefined };
}

/**
 * The rhythm that a worker keeps: what the server answered, or what the operator of this process has set in
 * `POLL_INTERVAL_MS` and its kin.
 */
export function rhythmOf(answer: Registration, env = process.env): Pick<Registration, "heartbeat" | "poll"> {
  const { heartbeat, poll } = answer;
  const own = {
    poll: {
      ...poll,
      ...given("interval_ms", millis("POLL_INTERVAL_MS", env)),
      ...given("max_interval_ms", millis("MAX_POLL_INTERVAL_MS", env)),
      ...given("multiplier", factor("IDLE_BACKOFF_MULTIPLIER", env)),
    },
    heartbeat: {
      ...heartbeat,
      ...given("interval_ms", millis("HEARTBEAT_INTERVAL_MS", env)),
      ...given("max_interval_ms", millis("HEARTBEAT_MAX_INTERVAL_MS", env)),
      ...given("multiplier", factor("HEARTBEAT_BACKOFF_MULTIPLIER", env)),
    },
  };
  return own;
}

function given<K extends string>(key: K, value: number | undefined): Partial<Record<K, number>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, number>);
}

function millis(name: string, env: NodeJS.ProcessEnv): number | undefined {
  return numeric(name, env, 1, 86_400_000);
}

function factor(name: string, env: NodeJS.ProcessEnv): number | undefined {
  return numeric(name, env, 1, 100);
}

function numeric(name: string, env: NodeJS.ProcessEnv, least: number, most: number): number | undefined {
  const text = env[name]?.trim();
  if (!text) return undefined;
  const value = Number(text);
  if (value >= least && value <= most) return value;
  throw new JobForgeError(`${name} is "${text}"; give a number from ${least} to ${most}`);
}
