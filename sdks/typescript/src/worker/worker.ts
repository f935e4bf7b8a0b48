import type { JobForge } from "../client.js";
import { clockBase, elapsed, sleep } from "../clock.js";
import { stderrLogger, type Logger } from "../log.js";
import { paceOf } from "../policy/claims.js";
import { rhythmOf } from "../settings.js";
import { JobCanceled, LeaseLost, Shutdown, type StopReason } from "../stop.js";
import { Transport, ANSWER_TIME_MS } from "../transport.js";
import type { ClaimAnswer, ClaimedJob } from "../wire.js";
import { Ahead } from "./ahead.js";
import { Attempt, STOP_GRACE_MS } from "./attempt.js";
import { Claimer } from "./claimer.js";
import { configure, type WorkerConfig } from "./config.js";
import { keyOf } from "./held.js";
import { Lifeline } from "./lifeline.js";
import type { WorkOptions } from "./options.js";
import { payloadOf } from "./payload.js";
import { boundsOf, register } from "./register.js";
import { Results } from "./results.js";
import { listen } from "./signals.js";

/** How long a stopping worker waits for the server to say that it knows. */
const DRAIN_ANSWER_MS = 3_000;
/** How long a stopping worker goes on telling results. */
const FLUSH_MS = 15_000;
const LEAVE_ANSWER_MS = 5_000;

type End = "stop" | "restart";

/** One incarnation: from its registration until it leaves or loses its lease. */
interface Incarnation {
  id: string;
  claimer: Claimer;
  /** Ends its signals. */
  over: AbortController;
}

/** Takes jobs and runs them, until it is told to stop. */
export class Worker {
  private readonly clock = clockBase();
  private readonly config: WorkerConfig;
  private readonly logger: Logger;
  private readonly transport: Transport;
  private readonly lifeline: Lifeline;
  private readonly results: Results;
  /** Attempts whose handlers have not returned, those of lost incarnations included. */
  private readonly attempts = new Map<string, Attempt>();
  /** How many of them there are of each queue. */
  private readonly running = new Map<string, number>();
  private readonly ahead = new Ahead((workerId, jobs) => this.giveBack(workerId, jobs));
  private paceMs: number | undefined;
  private incarnation: Incarnation | undefined;
  private readonly stopping = new AbortController();
  private readonly hurrying = new AbortController();
  /** Ends the wait of {@link untilEnd}. */
  private ended: ((why: End) => void) | undefined;
  private fault: Error | undefined;
  private onIdle: (() => void) | undefined;

  constructor(
    private readonly jf: JobForge,
    options: WorkOptions,
  ) {
    const queues = [...jf.tasks.values()].map((task) => task.options.queue);
    this.config = configure(options, queues);
    this.logger = this.config.logger;
    this.transport = new Transport(jf.connection);
    const speaks = this.logger === stderrLogger;
    this.lifeline = new Lifeline(jf.connection, this.clock, this.config.exitWhenLost, speaks, this.logger, {
      lost: (workerId, why) => this.lost(workerId, why),
      restart: () => this.ended?.("restart"),
      failed: (fault) => this.failed(fault),
      stop: ({ job, state }) => {
        if (this.ahead.forget(job)) return this.lifeline.ended([job]);
        return this.attempts
          .get(keyOf(job))
          ?.stop(state === "canceled" ? new JobCanceled() : new LeaseLost(`it is ${state}`));
      },
    });
    this.results = new Results(
      (request) => this.transport.call("POST", "/v1/worker/results", request),
      (workerId, jobs) => {
        if (this.incarnation?.id !== workerId) return;
        for (const job of jobs) this.incarnation.claimer.held.ended(job);
        this.lifeline.ended(jobs);
      },
      this.logger,
    );
  }

  /** Works until {@link stop}; returns when everything has been told. Throws if the server refuses the worker. */
  async run(): Promise<void> {
    try {
      for (let why: End = "restart"; why === "restart";) {
        const end = this.untilEnd();
        if (!(await this.begin())) break;
        why = await end;
        await this.drain(why);
      }
      if (this.fault) throw this.fault;
    } finally {
      this.incarnation?.over.abort();
      this.results.close();
      await this.lifeline.close();
      this.transport.close();
    }
  }

  /** Begins a graceful stop. */
  stop(): void {
    this.stopping.abort();
    this.ended?.("stop");
  }

  /** Ends the grace of running jobs. */
  hurry(): void {
    this.hurrying.abort();
  }

  private failed(fault: Error): void {
    this.fault ??= fault;
    this.stop();
  }

  private now(): number {
    return elapsed(this.clock);
  }

  /** Registers as a new incarnation and begins to claim; false if the worker is stopped before. */
  private async begin(): Promise<boolean> {
    const types = [...this.jf.tasks.keys()];
    const registered = await register(this.transport, this.config, types, () => this.now(), this.stopping.signal);
    if (!registered) return false;
    const { registration, sent } = registered;
    const { heartbeat, poll } = rhythmOf(registration);
    const { worker_id: id, limits } = registration;
    this.lifeline.begin({ ...registration, heartbeat }, sent);
    this.results.setLimit(limits.results);
    const bounds = boundsOf(this.jf.tasks.values());
    const terms = { workerId: id, types, bounds, poll, beat: heartbeat, claimLimit: limits.claim };
    const claimer = new Claimer(
      this.config,
      terms,
      {
        now: () => this.now(),
        acts: () => this.lifeline.acts(id, this.now()),
        held: () =>
          new Map(this.config.queues.map(({ name }) => [name, this.runningOf(name) + this.ahead.count(name)])),
        paceMs: () => this.paceMs,
        runsAlone: () => [...this.attempts.values()].some(({ job }) => job.alone),
        claim: (request, signal): Promise<ClaimAnswer> => {
          const timeoutMs = request.wait_ms + ANSWER_TIME_MS;
          return this.transport.call("POST", "/v1/worker/claim", request, { timeoutMs, ...(signal ? { signal } : {}) });
        },
        start: (jobs) => this.take(id, jobs),
        giveBack: (jobs) => this.giveBack(id, jobs),
      },
      this.logger,
    );
    const over = new AbortController();
    this.incarnation = { id, claimer, over };
    claimer.run().catch((fault: Error) => this.failed(fault));
    void listen(
      this.transport,
      id,
      {
        look: () => {
          claimer.work();
          this.lifeline.look();
        },
        work: (queue) => claimer.work(queue),
        renew: () => this.lifeline.renew(),
        moved: (moved) => this.lifeline.look(moved),
      },
      over.signal,
    );
    const names = this.config.queues.map(({ name }) => name).join(", ");
    this.logger.info(`worker ${id} takes jobs from ${names}, up to ${this.config.concurrency} at once`);
    return true;
  }

  private untilEnd(): Promise<End> {
    return new Promise((resolve) => {
      this.ended = resolve;
      if (this.stopping.signal.aborted) resolve("stop");
    });
  }

  /** Takes what was claimed, and starts as much of it as there is room for. */
  private take(workerId: string, jobs: ClaimedJob[]): void {
    this.lifeline.started(jobs.map(({ id, fence }) => ({ id, fence })));
    this.ahead.add(workerId, jobs);
    this.startNext();
    this.ahead.notForLong();
  }

  private startNext(): void {
    const fits = (queue: string) => this.fits(queue);
    for (let next = this.ahead.next(fits); next; next = this.ahead.next(fits)) this.start(next.workerId, next.job);
  }

  private fits(queue: string): boolean {
    const slots = this.config.queues.find(({ name }) => name === queue)?.slots ?? 0;
    return this.attempts.size < this.config.concurrency && this.runningOf(queue) < slots;
  }

  private runningOf(queue: string): number {
    return this.running.get(queue) ?? 0;
  }

  private start(workerId: string, job: ClaimedJob): void {
    const began = performance.now();
    const attempt = new Attempt(workerId, job, this.jf.tasks.get(job.type), {
      report: ({ job }, report) => this.lifeline.report({ id: job.id, fence: job.fence }, report),
      ended: (attempt, result) => {
        if (result) this.results.push(attempt.workerId, result);
        else this.dropped(attempt);
      },
      ignoresStop: (attempt, reason) => this.ignoresStop(attempt, reason),
      settled: (attempt) => {
        this.paceMs = paceOf(this.paceMs, performance.now() - began);
        this.settled(attempt);
      },
    }, (job, signal) => payloadOf(this.transport, job, signal));
    this.attempts.set(keyOf(job), attempt);
    this.running.set(job.queue, this.runningOf(job.queue) + 1);
    void attempt.run();
  }

  /** Gives back what was claimed and will not be started. */
  private giveBack(workerId: string, jobs: ClaimedJob[]): void {
    for (const { id, fence } of jobs) this.results.push(workerId, { id, fence, outcome: "released" });
  }

  /** Nothing is to be told of a job that is no longer ours. */
  private dropped({ workerId, job }: Attempt): void {
    if (this.incarnation?.id === workerId) this.incarnation.claimer.held.ended(job);
  }

  private ignoresStop({ workerId, job }: Attempt, reason: StopReason): void {
    this.logger.warn(
      `the handler of job ${job.id} (${job.type}) goes on although it was asked to stop: ${reason.message}`,
    );
    const taken = reason instanceof JobCanceled || reason instanceof LeaseLost;
    if (taken && workerId === this.incarnation?.id)
      this.lifeline.report({ id: job.id, fence: job.fence }, { ignores_stop: true });
  }

  private settled({ job, workerId, dropped }: Attempt): void {
    this.attempts.delete(keyOf(job));
    this.running.set(job.queue, this.runningOf(job.queue) - 1);
    // Otherwise the job is kept alive until its result has been answered.
    if (dropped) this.lifeline.ended([{ id: job.id, fence: job.fence }]);
    this.startNext();
    this.incarnation?.claimer.freed();
    if (this.attempts.size === 0) this.onIdle?.();
    if (workerId !== this.incarnation?.id && !this.hasAttemptsOfOthers()) this.lifeline.stopped();
  }

  private hasAttemptsOfOthers(): boolean {
    return [...this.attempts.values()].some(({ workerId }) => workerId !== this.incarnation?.id);
  }

  /** Stops everything that an incarnation holds which has lost its lease, and begins anew. */
  private lost(workerId: string, why: string): void {
    const { incarnation } = this;
    if (incarnation?.id !== workerId) return;
    this.incarnation = undefined;
    incarnation.over.abort();
    incarnation.claimer.stop();
    this.ahead.clear();
    for (const attempt of this.attempts.values()) {
      if (attempt.workerId === workerId) attempt.stop(new LeaseLost(why));
    }
    if (!this.hasAttemptsOfOthers()) this.lifeline.stopped();
    if (!this.stopping.signal.aborted) this.ended?.("restart");
  }

  private stopAttempts(reason: StopReason): void {
    for (const attempt of this.attempts.values()) attempt.stop(reason);
  }

  /** Takes nothing new, lets what runs come to its end within the grace, gives the rest back, and leaves. */
  private async drain(why: End): Promise<void> {
    const { incarnation } = this;
    if (!incarnation) return;
    const { id, claimer } = incarnation;
    this.logger.info(
      `worker ${id} ${why === "stop" ? "stops" : "was told to restart"}: it takes no more jobs and waits for ${this.attempts.size}`,
    );
    claimer.stop();
    this.ahead.clear();
    await within(DRAIN_ANSWER_MS, this.lifeline.drain());
    await within(DRAIN_ANSWER_MS, claimer.recall());
    if (!(await within(this.config.graceMs, this.idle(), this.hurrying.signal))) {
      this.stopAttempts(new Shutdown());
      await within(STOP_GRACE_MS + 500, this.idle());
    }
    await within(FLUSH_MS, this.results.flushed());
    incarnation.over.abort();
    if (this.incarnation !== incarnation) return;
    this.incarnation = undefined;
    const request = {
      worker_id: id,
      reason: why === "stop" ? "stopped in good order" : "it restarted, as it was told",
    };
    await this.transport.call("POST", "/v1/worker/leave", request, { timeoutMs: LEAVE_ANSWER_MS }).then(
      () => this.logger.info(`worker ${id} has left`),
      (error: unknown) => this.logger.warn(`could not say goodbye; the lease will run out: ${String(error)}`),
    );
  }

  private idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.attempts.size === 0) resolve();
      else this.onIdle = resolve;
    });
  }
}

/** Whether a promise resolves within a time, and before a signal fires. */
async function within(ms: number, promise: Promise<unknown>, signal?: AbortSignal): Promise<boolean> {
  const over = new AbortController();
  const done = promise.then(
    () => true,
    () => true,
  );
  const late = sleep(ms, signal ? AbortSignal.any([signal, over.signal]) : over.signal).then(() => false);
  const result = await Promise.race([done, late]);
  over.abort();
  return result;
}
