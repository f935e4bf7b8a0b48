import { InvalidPayload } from "../errors.js";
import { Dead, Failed, Retry, Snooze } from "../outcome.js";
import { Shutdown, Timeout, type StopReason } from "../stop.js";
import type { JobResult } from "../wire.js";

/** The largest result that the server keeps. */
const RESULT_LIMIT_BYTES = 1024 * 1024;
/** Lines of a stack that are kept with an error. */
const STACK_LINES = 20;

export type Ending = Pick<JobResult, "outcome" | "result" | "error" | "retry_in_ms">;

/** How an attempt ended whose handler has returned. */
export function returned(value: unknown): Ending {
  if (value === undefined) return { outcome: "succeeded" };
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    const message = `the handler's result cannot be written as JSON: ${String(cause)}`;
    return { outcome: "failed", error: { kind: "result_not_json", message } };
  }
  if (text === undefined) return { outcome: "succeeded" };
  const bytes = Buffer.byteLength(text);
  if (bytes <= RESULT_LIMIT_BYTES) return { outcome: "succeeded", result: value };
  const message =
    `the handler's result has ${bytes} bytes; at most ${RESULT_LIMIT_BYTES} are kept. ` +
    "Put it elsewhere and return a reference to it.";
  return { outcome: "failed", error: { kind: "result_too_large", message } };
}

/** How an attempt ended whose handler has thrown. `stopped` is why it was asked to stop, if it was. */
export function threw(error: unknown, stopped: StopReason | undefined): Ending {
  if (error instanceof Snooze) return { outcome: "snoozed", retry_in_ms: wholeMillis(error.afterMs) };
  if (error instanceof Dead) return { outcome: "dead", error: described(error, error) };
  if (error instanceof Failed) return { outcome: "failed", error: described(error, error) };
  if (error instanceof Retry) {
    const again = error.afterMs === undefined ? {} : { retry_in_ms: wholeMillis(error.afterMs) };
    return { outcome: "retry", error: described(error, error), ...again };
  }
  // A handler that was asked to stop may throw anything: what it says is a consequence.
  if (stopped instanceof Timeout) return timedOut(stopped);
  if (stopped instanceof Shutdown) return { outcome: "released" };
  if (error instanceof InvalidPayload) {
    const details = { issues: error.issues };
    return { outcome: "failed", error: { kind: "invalid_payload", message: error.message, details } };
  }
  return { outcome: "retry", error: described(error, {}) };
}

/** How an attempt ended that took too long. */
export function timedOut(reason: Timeout): Ending {
  return { outcome: "retry", error: { kind: reason.kind, message: reason.message } };
}

function described(
  error: unknown,
  { kind, details }: { kind?: string | undefined; details?: unknown },
): NonNullable<Ending["error"]> {
  if (!(error instanceof Error)) return { message: String(error), kind: kind ?? "error" };
  const code = (error as NodeJS.ErrnoException).code;
  const stack = error.stack?.split("\n").slice(0, STACK_LINES).join("\n");
  return {
    message: String(error.message || error.name),
    kind: String(kind ?? (typeof code === "string" ? code : error.name)),
    details: asJson(details) ?? { stack },
  };
}

function asJson(value: unknown): unknown {
  try {
    return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
  } catch {
    return String(value);
  }
}

function wholeMillis(ms: number): number {
  return Number.isFinite(ms) ? Math.max(0, Math.round(ms)) : 0;
}
