import { sleep } from "../clock.js";
import { ApiError } from "../errors.js";
import type { Logger } from "../log.js";
import { backoff, spread } from "../policy/backoff.js";
import type { JobResult, ResultsAnswer } from "../wire.js";
import type { Held } from "./held.js";
import { portion } from "./portions.js";

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 5_000;
/** Refusals that say nothing of the results: of the token, of slowness, of too much. */
const PASSING = [401, 403, 408, 429];

export interface ResultsRequest {
  worker_id: string;
  results: JobResult[];
}

interface Entry {
  workerId: string;
  result: JobResult;
  /** It stands for a result that the server did not take. */
  retold?: true;
}

/** Tells how attempts ended: in batches that gather while the last one is in flight, again and again until answered. */
export class Results {
  private waiting: Entry[] = [];
  private sending: Promise<void> | undefined;
  private failures = 0;
  private limit = 1;
  private readonly closing = new AbortController();

  constructor(
    private readonly send: (request: ResultsRequest) => Promise<ResultsAnswer>,
    private readonly acknowledged: (workerId: string, jobs: Held[]) => void,
    private readonly logger: Logger,
  ) {}

  /** Sets how many results one request may hold. */
  setLimit(limit: number): void {
    this.limit = limit;
  }

  push(workerId: string, result: JobResult): void {
    this.waiting.push({ workerId, result });
    this.sending ??= this.sendAll();
  }

  /** Resolves when everything has been answered. */
  async flushed(): Promise<void> {
    await this.sending;
  }

  /** Gives up what has not been answered: the lease decides what becomes of it. */
  close(): void {
    this.closing.abort();
  }

  private async sendAll(): Promise<void> {
    // What is pushed in the same turn of the event loop goes along.
    await Promise.resolve();
    while (this.waiting.length > 0 && !this.closing.signal.aborted) {
      const { workerId } = this.waiting[0]!;
      const own = this.waiting.filter((entry) => entry.workerId === workerId).map(({ result }) => result);
      await this.sendBatch(workerId, portion(own, this.limit));
    }
    this.sending = undefined;
  }

  private async sendBatch(workerId: string, results: JobResult[]): Promise<void> {
    try {
      const answer = await this.send({ worker_id: workerId, results });
      this.failures = 0;
      for (const { id, answer: word, status } of answer.results) {
        if (word === "fenced")
          this.logger.warn(
            `job ${id} was taken from worker ${workerId} and is ${status ?? "elsewhere"}; its result came too late`,
          );
        if (word === "gone") this.logger.warn(`job ${id} was deleted; its result was dropped`);
      }
      this.forget(workerId, results);
    } catch (error) {
      await this.failed(workerId, results, error);
    }
  }

  private async failed(workerId: string, results: JobResult[], error: unknown): Promise<void> {
    const final = error instanceof ApiError && error.status < 500 && !PASSING.includes(error.status);
    const internal = error instanceof ApiError && error.status === 500;
    if (final || internal) {
      if (results.length > 1) {
        // One of them makes no sense to the server, which takes none then: each is sent alone.
        for (const result of results) await this.sendBatch(workerId, [result]);
        return;
      }
      const entry = this.waiting.find(({ result }) => result === results[0]);
      if (!entry) return;
      this.logger.error(`the result of job ${entry.result.id} is refused: ${text(error)}`);
      if (final && !entry.retold) {
        entry.result = withoutWords(entry.result, error);
        entry.retold = true;
      } else {
        this.forget(workerId, results);
      }
      return;
    }
    this.failures += 1;
    if (this.failures === 1) this.logger.warn(`failed to tell ${results.length} results; trying again: ${text(error)}`);
    const asked = error instanceof ApiError ? error.retryAfterMs : undefined;
    const wait = asked ?? spread(backoff(this.failures, FIRST_WAIT_MS, LONGEST_WAIT_MS), Math.random());
    await sleep(wait, this.closing.signal);
  }

  private forget(workerId: string, results: JobResult[]): void {
    const gone = new Set(results);
    this.waiting = this.waiting.filter(({ result }) => !gone.has(result));
    this.acknowledged(workerId, results);
  }
}

/** What is told instead of a result that the server does not take: how it ended, and nothing that could be wrong. */
function withoutWords({ id, fence, outcome, retry_in_ms }: JobResult, refusal: ApiError): JobResult {
  const again = retry_in_ms === undefined ? {} : { retry_in_ms };
  if (outcome === "snoozed" || outcome === "released") return { id, fence, outcome, ...again };
  const error = { kind: "result_refused", message: refusal.detail };
  return { id, fence, outcome: outcome === "succeeded" ? "failed" : outcome, error, ...again };
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
