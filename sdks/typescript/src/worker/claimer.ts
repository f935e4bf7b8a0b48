import { setImmediate } from "node:timers/promises";
import { sleep } from "../clock.js";
import { ApiError } from "../errors.js";
import type { Logger } from "../log.js";
import { backoff, nextInterval, type Rhythm } from "../policy/backoff.js";
import { ask, sum, turn, type QueueAsk } from "../policy/claims.js";
import { dueIn, type BeatRhythm } from "../policy/beats.js";
import type { ClaimAnswer, ClaimedJob } from "../wire.js";
import type { WorkerConfig } from "./config.js";
import { HeldJobs, type Held } from "./held.js";

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
/** How long a worker asks without waiting at the server, once that has no room for more who wait. */
const NO_SEAT_MS = 60_000;
/** Between two looks of a worker that may not take anything for the moment. */
const LOOK_AGAIN_MS = 250;
/** How long is waited at some queues before the others are asked. */
const SOON_MS = 1_000;
/** Added to the moment at which a waiting job becomes due, so that the claim does not come a hair too early. */
const DUE_SLACK_MS = 2;

export interface ClaimRequest {
  worker_id: string;
  queues: QueueAsk[];
  types: string[];
  wait_ms: number;
  heartbeat_due_ms: number;
  heartbeat_interval_ms?: number;
  bounds: Bounds;
  alone?: true;
  held?: Held[];
}

/** What jobs without bounds of their own are kept to. */
export interface Bounds {
  timeout?: { by_type: Record<string, number> };
  progress?: { by_type: Record<string, number> };
}

export interface ClaimerTerms {
  workerId: string;
  types: string[];
  bounds: Bounds;
  poll: Rhythm & { wait_ms: number };
  beat: BeatRhythm;
  claimLimit: number;
}

/** What a claimer needs of its worker. */
export interface ClaimerEvents {
  now(): number;
  /** Whether this incarnation may act. */
  acts(): boolean;
  /** How many jobs of each queue run or wait, until their handlers have returned. */
  held(): ReadonlyMap<string, number>;
  /** How long jobs take, if that is known. */
  paceMs(): number | undefined;
  /** Whether a job runs that nothing may run beside. */
  runsAlone(): boolean;
  /** Sends a claim; the signal breaks its connection off. */
  claim(request: ClaimRequest, signal?: AbortSignal): Promise<ClaimAnswer>;
  start(jobs: ClaimedJob[]): void;
  giveBack(jobs: ClaimedJob[]): void;
}

/** The one claimer of an incarnation. */
export class Claimer {
  readonly held = new HeldJobs();
  private stopping = false;
  private wake: (() => void) | undefined;
  private inFlight: Promise<unknown> | undefined;
  private readonly breaking = new AbortController();
  private failures = 0;
  private idle: number | undefined;
  private turns = 0;
  private aloneSince: number | undefined;
  private lastAsked: QueueAsk[] = [];
  private noSeatUntil = -Infinity;

  constructor(
    private readonly config: WorkerConfig,
    private readonly terms: ClaimerTerms,
    private readonly worker: ClaimerEvents,
    private readonly logger: Logger,
  ) {}

  /** Claims until it is stopped. */
  async run(): Promise<void> {
    while (!this.stopping) {
      // Jobs that end in the same turn of the event loop make room for one claim, not for one each.
      await setImmediate();
      const woken = this.woken();
      const queues = this.worker.acts() ? this.ask() : [];
      if (queues.length === 0) {
        await pause(LOOK_AGAIN_MS, woken);
        continue;
      }
      await this.claim(queues, woken);
    }
  }

  /** A slot has become free. */
  freed(): void {
    this.wake?.();
  }

  /** There may be work in this queue, or in any. */
  work(queue?: string): void {
    if (queue === undefined || this.config.queues.some(({ name }) => name === queue)) this.wake?.();
  }

  /** Claims no more. What an answer that is under way brings is given back. */
  stop(): void {
    this.stopping = true;
    this.wake?.();
  }

  /**
   * Breaks off the claim that waits at the server, and asks what it may have given away unheard. The worker drains by now,
   * so nothing new comes.
   */
  async recall(): Promise<void> {
    this.stop();
    if (!this.inFlight) return;
    this.breaking.abort();
    await this.inFlight;
    await this.send(this.lastAsked, 0, false);
  }

  private woken(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }

  private ask(): QueueAsk[] {
    const { config, terms, aloneSince } = this;
    if (this.worker.runsAlone()) return [];
    const whose = aloneSince === undefined ? "company" : this.turn(aloneSince);
    if (whose === "make room") return [];
    if (whose === "alone") return [{ name: config.queues[this.turns % config.queues.length]!.name, max: 1 }];
    return ask({
      queues: config.queues,
      held: this.worker.held(),
      concurrency: config.concurrency,
      most: terms.claimLimit,
      turn: this.turns,
      paceMs: this.worker.paceMs(),
    });
  }

  private turn(since: number): "company" | "alone" | "make room" {
    return turn(this.worker.now() - since, sum(this.worker.held().values()), this.terms.workerId);
  }

  /** Sends a claim that the server holds while there is no work, for as long as an idle worker waits between two polls. */
  private async claim(queues: QueueAsk[], woken: Promise<void>): Promise<void> {
    this.turns += 1;
    const alone = this.aloneSince !== undefined && this.turn(this.aloneSince) === "alone";
    const interval = nextInterval(this.terms.poll, this.idle);
    const some = queues.length < this.config.queues.length;
    const began = this.worker.now();
    const seated = began >= this.noSeatUntil;
    // The others are to be asked as soon as they have room, and one claim at a time is under way: it must not wait then.
    const patience = some || alone ? Math.min(interval, SOON_MS) : interval;
    const wait = Math.floor(seated && !some ? Math.min(patience, this.terms.poll.wait_ms) : 0);
    const sending = this.send(queues, wait, alone, this.breaking.signal);
    this.inFlight = sending;
    const answer = await sending;
    this.inFlight = undefined;
    if (answer === "failed") {
      await pause(backoff(this.failures, FIRST_WAIT_MS, LONGEST_WAIT_MS), woken);
      return;
    }
    this.idle = answer.jobs.length > 0 ? undefined : interval;
    if (answer.more || answer.jobs.length > 0 || (answer.alone_waits && !alone)) return;
    const rest = Math.min(began + patience - this.worker.now(), (answer.next_due_ms ?? Infinity) + DUE_SLACK_MS);
    if (rest > 0) await pause(rest, woken);
  }

  private async send(
    queues: QueueAsk[],
    waitMs: number,
    alone: boolean,
    signal?: AbortSignal,
  ): Promise<ClaimAnswer | "failed"> {
    const { terms, worker } = this;
    const sent = worker.now();
    const held = this.held.beforeClaim();
    this.lastAsked = queues;
    const request: ClaimRequest = {
      worker_id: terms.workerId,
      queues,
      types: terms.types,
      wait_ms: waitMs,
      heartbeat_due_ms: Math.ceil(dueIn(terms.beat, terms.beat.interval_ms)),
      ...(terms.beat.enabled ? { heartbeat_interval_ms: terms.beat.interval_ms } : {}),
      bounds: terms.bounds,
      ...(alone ? { alone } : {}),
      ...(held ? { held } : {}),
    };
    try {
      const answer = await worker.claim(request, signal);
      this.failures = 0;
      this.received(this.held.claimed(answer.jobs), sent + waitMs);
      this.aloneSince = answer.alone_waits ? (this.aloneSince ?? sent) : undefined;
      return answer;
    } catch (error) {
      if (error instanceof ApiError && error.status < 500) {
        // It gave nothing away.
        this.held.refused();
        if (error.status === 401 || error.status === 403) throw error;
        if (error.code === "too_many_waiting") {
          this.noSeatUntil = worker.now() + NO_SEAT_MS;
          return { jobs: [], more: true };
        }
      }
      this.failures += 1;
      if (this.failures === 1 && !this.stopping) {
        this.logger.warn(`failed to claim jobs; trying again: ${String(error)}`);
      }
      return "failed";
    }
  }

  /**
   * Starts what was claimed: not if the worker stops or may not act any more, and not if the answer was so long on its way
   * that the jobs may have been taken back for want of heartbeats.
   */
  private received(jobs: ClaimedJob[], due: number): void {
    if (jobs.length === 0) return;
    const late = this.worker.now() - due > dueIn(this.terms.beat, this.terms.beat.interval_ms) / 2;
    if (this.stopping || late || !this.worker.acts()) this.worker.giveBack(jobs);
    else this.worker.start(jobs);
  }
}

/** Waits for a time, or less; leaves no timer behind that would keep the process. */
async function pause(ms: number, woken: Promise<void>): Promise<void> {
  const over = new AbortController();
  await Promise.race([woken, sleep(ms, over.signal)]);
  over.abort();
}
