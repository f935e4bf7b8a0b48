import { createHash } from "node:crypto";
import { sleep } from "../clock.js";
import { ApiError } from "../errors.js";
import { Retry } from "../outcome.js";
import { retryIn } from "../policy/retry.js";
import type { Transport } from "../transport.js";
import type { ClaimedJob } from "../wire.js";

/** How long a large payload may be on its way. */
const ANSWER_MS = 60_000;

/** The payload of a job: from the answer to the claim, or asked for where the server keeps it elsewhere. */
export async function payloadOf(transport: Transport, job: ClaimedJob, signal: AbortSignal): Promise<unknown> {
  const { payload_stored: stored } = job;
  if (!stored) return job.payload;
  const text = await fetch(transport, job.id, signal);
  const bytes = Buffer.from(text);
  if (bytes.length !== stored.bytes || createHash("sha256").update(bytes).digest("hex") !== stored.sha256) {
    const message = `the payload that came has ${bytes.length} bytes and is not the one that was stored`;
    throw new Retry(message, { kind: "payload_damaged" });
  }
  return JSON.parse(text);
}

/** Asks for it, and again as long as that may help. */
async function fetch(transport: Transport, id: string, signal: AbortSignal): Promise<string> {
  const began = performance.now();
  for (let tries = 1; ; tries += 1) {
    try {
      const path = `/v1/worker/payload/${encodeURIComponent(id)}`;
      return await transport.text(path, { timeoutMs: ANSWER_MS, signal });
    } catch (cause) {
      signal.throwIfAborted();
      const wait = retryIn(cause, tries, performance.now() - began, true, Math.random());
      if (wait === undefined) {
        const kind = cause instanceof ApiError ? cause.code : "payload_unavailable";
        throw new Retry(`the payload cannot be had: ${String(cause)}`, { kind, cause });
      }
      await sleep(wait, signal);
    }
  }
}
