import { ApiError, ConnectionError } from "../errors.js";
import { backoff, spread } from "./backoff.js";

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
/** Calls that fail this often are given up; being asked to slow down does not count. */
const TRIES = 5;
/** No call is repeated for longer than this. */
const PATIENCE_MS = 60_000;

/**
 * Returns how long to wait before a failed call is repeated; `undefined` if it must not or need not be. Pure.
 *
 * A call that is safe to repeat may have happened already without harm: it reads, or it has an idempotency key. Another one
 * is repeated only where nothing can have happened.
 */
export function retryIn(
  error: unknown,
  tries: number,
  spentMs: number,
  safe: boolean,
  random: number,
): number | undefined {
  if (spentMs >= PATIENCE_MS) return undefined;
  const wait = spread(backoff(tries, FIRST_WAIT_MS, LONGEST_WAIT_MS), random);
  if (error instanceof ConnectionError) return tries < TRIES && (safe || !error.sent) ? wait : undefined;
  if (!(error instanceof ApiError)) return undefined;
  const asked = error.retryAfterMs === undefined ? wait : error.retryAfterMs + wait * random;
  if (error.code === "rate_limited") return asked;
  if (tries >= TRIES) return undefined;
  const undone = error.code === "database_unreachable" || error.code === "database_read_only";
  const passing = error.status === 503 || error.status === 502 || error.status === 504;
  return undone || (passing && safe) ? asked : undefined;
}
