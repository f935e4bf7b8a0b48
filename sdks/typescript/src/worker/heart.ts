import { ApiError } from "../errors.js";
import { BeatSchedule, type Beat } from "../policy/beats.js";
import { Lease } from "../policy/lease.js";
import type { HeartbeatAnswer, Registration } from "../wire.js";
import { LoopWatch } from "../policy/loop-watch.js";
import type { FromThread, ToThread } from "./messages.js";
import { portion } from "./portions.js";

/** Renewals that may be under way at once: a slow answer must not make the next one late. */
const RENEWALS_AT_ONCE = 3;
/** Between two renewals, however often one is wanted. */
const SOONEST_MS = 500;
/** Heartbeats that were not answered are sent again after this. */
const BEAT_AGAIN_MS = 1_000;
const BEAT_ANSWER_MS = 15_000;
/** Between two log lines of a worker in which nothing changes. */
const TELL_EVERY_MS = 60_000;
/** How long handlers may take to stop whose jobs others may have already. */
const TAKEN_GRACE_MS = 500;

/** What a heart needs of the world. */
export interface Body {
  /** Milliseconds of a clock that also runs while the machine sleeps. */
  now(): number;
  /** How many turns the main thread's event loop has made. */
  turns(): number;
  heartbeat(request: HeartbeatRequest, timeoutMs: number): Promise<HeartbeatAnswer>;
  tell(message: FromThread): void;
  /** Says something though the main thread is blocked. */
  cry(message: string): void;
  /** Ends the process, if it may come to that. */
  lastResort: (() => void) | undefined;
}

export interface HeartbeatRequest {
  worker_id: string;
  state?: "run" | "draining";
  jobs?: Beat[];
}

/** One incarnation that is alive. */
interface Life {
  id: string;
  lease: Lease;
  beats: BeatSchedule;
  beatLimit: number;
  draining: boolean;
  renewAt: number;
  renewedAt: number;
  renewals: number;
  failing: boolean;
  beating: boolean;
  epoch: number | undefined;
  restart: boolean;
}

/** Renews a worker's lease and sends its jobs' heartbeats, as time goes by. */
export class Heart {
  private life: Life | undefined;
  /** When jobs of a lost incarnation may run elsewhere, until all its handlers have stopped. */
  private doomedAt: number | undefined;
  private readonly watch = new LoopWatch();
  private toldAt = -Infinity;
  private toldIdle: boolean | undefined;

  constructor(private readonly body: Body) {}

  told(message: ToThread): void {
    const { life } = this;
    const now = this.body.now();
    switch (message.tell) {
      case "begin":
        this.begin(message.registration, message.sent);
        break;
      case "started":
        for (const { id, fence } of message.jobs) life?.beats.started(id, fence, now);
        break;
      case "ended":
        for (const { id, fence } of message.jobs) life?.beats.ended(id, fence);
        break;
      case "report":
        life?.beats.reported(message.job.id, message.job.fence, message.report);
        break;
      case "drain":
        if (life) {
          life.draining = true;
          life.renewAt = now;
        }
        break;
      case "renew":
        if (life) life.renewAt = Math.min(life.renewAt, life.renewedAt + SOONEST_MS);
        break;
      case "look":
        life?.beats.hurry(now, message.id);
        break;
      case "stopped":
        this.doomedAt = undefined;
        break;
    }
    // Only what cannot wait; the rest is done at the next tick, together with what comes until then.
    if (message.tell === "drain" || message.tell === "look") this.tick();
  }

  /** Does what is due. */
  tick(): void {
    const now = this.body.now();
    this.watchLoop();
    if (this.doomedAt !== undefined && now >= this.doomedAt) this.endProcess();
    const { life } = this;
    if (!life) return;
    if (now >= life.lease.actsUntil()) return this.lose(life, now, "no renewal was answered in time");
    if (now >= life.renewAt && life.renewals < RENEWALS_AT_ONCE) void this.renew(life, now);
    if (!life.beating) {
      const beats = life.beats.take(now, life.beatLimit);
      if (beats.length > 0) void this.beat(life, beats);
    }
    this.tellWhatIsHeld(life, now);
  }

  private begin(registration: Registration, sent: number): void {
    this.life = {
      id: registration.worker_id,
      lease: new Lease(registration.lease_ms, sent),
      beats: new BeatSchedule(registration.heartbeat),
      beatLimit: registration.limits.heartbeat,
      draining: false,
      // At once: it opens the connection that later ones need, while there is one to be had.
      renewAt: sent,
      renewedAt: sent,
      renewals: 0,
      failing: false,
      beating: false,
      epoch: undefined,
      restart: false,
    };
    this.toldIdle = undefined;
    this.tick();
  }

  private async renew(life: Life, now: number): Promise<void> {
    life.renewals += 1;
    life.renewedAt = now;
    life.renewAt = now + life.lease.pause(life.failing);
    const { draining } = life;
    try {
      const state = draining ? "draining" : "run";
      const answer = await this.body.heartbeat({ worker_id: life.id, state }, life.lease.endsAt() - now);
      if (this.life !== life) return;
      this.renewed(life, now, answer, draining);
    } catch (error) {
      if (this.life !== life) return;
      if (!life.failing) this.log("warn", `Heartbeat of worker ${life.id} failed; trying again: ${text(error)}`);
      life.failing = true;
      life.renewAt = Math.min(life.renewAt, now + life.lease.pause(true));
    } finally {
      life.renewals -= 1;
    }
  }

  private renewed(life: Life, sent: number, answer: HeartbeatAnswer, draining: boolean): void {
    if (answer.worker === "lost") return this.lose(life, this.body.now(), "the server says that its lease is lost");
    if (life.failing) this.log("info", `Heartbeat of worker ${life.id} is answered again`);
    life.failing = false;
    life.lease.renewed(sent, answer.lease_ms ?? life.lease.lengthMs);
    life.renewAt = Math.min(life.renewAt, sent + life.lease.pause(false));
    // What was claimed last may be unknown to a database that has taken over.
    if (life.epoch !== undefined && answer.epoch !== life.epoch) life.beats.hurry(this.body.now());
    life.epoch = answer.epoch;
    this.body.tell({ tell: "renewed", workerId: life.id, actsUntil: life.lease.actsUntil(), draining });
    if (answer.restart && !life.restart) {
      life.restart = true;
      this.body.tell({ tell: "restart", workerId: life.id });
    }
  }

  private async beat(life: Life, due: Beat[]): Promise<void> {
    life.beating = true;
    const beats = portion(due, life.beatLimit);
    life.beats.unanswered(due.slice(beats.length), this.body.now(), 0);
    try {
      const answer = await this.body.heartbeat({ worker_id: life.id, jobs: beats }, BEAT_ANSWER_MS);
      if (this.life === life) this.answered(life, beats, answer);
    } catch (error) {
      this.log("warn", `Heartbeat of ${beats.length} jobs failed; trying again: ${text(error)}`);
      // A report that the server does not take would be refused again and again, and the job's heartbeat with it.
      const refused = error instanceof ApiError && error.status < 500 && error.status !== 429;
      const again = refused ? beats.map(({ id, fence, due_in_ms, interval_ms }) => ({
            id,
            fence,
            due_in_ms,
            ...(interval_ms === undefined ? {} : { interval_ms }),
          })) : beats;
      life.beats.unanswered(again, this.body.now(), BEAT_AGAIN_MS);
    } finally {
      life.beating = false;
    }
  }

  private answered(life: Life, beats: Beat[], answer: HeartbeatAnswer): void {
    answer.jobs.forEach(({ state, status }, index) => {
      const beat = beats[index];
      if (!beat || state === "kept") return;
      const { id, fence } = beat;
      life.beats.stopped(id, fence);
      this.body.tell({ tell: "stop", job: { id, fence }, state, ...(status ? { status } : {}) });
    });
  }

  private lose(life: Life, now: number, why: string): void {
    this.life = undefined;
    if (life.beats.size > 0) this.doomedAt = Math.max(life.lease.endsAt(), now + TAKEN_GRACE_MS);
    this.log("error", `Heartbeat: worker ${life.id} has lost its lease: ${why}; it stops its jobs and starts anew`);
    this.body.tell({ tell: "lost", workerId: life.id, why });
  }

  private endProcess(): void {
    this.doomedAt = undefined;
    if (!this.body.lastResort) return;
    this.body.cry("Handlers have not stopped though their jobs may run elsewhere by now; this process ends itself");
    this.body.lastResort();
  }

  private watchLoop(): void {
    const seen = this.watch.tick(this.body.turns());
    if (!seen || !this.life) return;
    const { id, beats } = this.life;
    const time = `${Math.round(seen.forMs / 1000)} s`;
    if (seen.state === "free") return this.log("info", `The event loop of worker ${id} goes on after ${time}`);
    const message = `a handler has been blocking the event loop of this worker for ${time}`;
    this.body.cry(`Heartbeat: worker ${id} goes on, but ${message}; ${beats.size} jobs wait for it`);
    // Once: a message counts as progress, and a job that blocks for ever makes none.
    if (seen.state === "blocked") beats.reportAll(message);
  }

  private tellWhatIsHeld(life: Life, now: number): void {
    const idle = life.beats.size === 0;
    if (now - this.toldAt < TELL_EVERY_MS && (idle === this.toldIdle || now - this.toldAt < 1000)) return;
    [this.toldAt, this.toldIdle] = [now, idle];
    this.log("info", `Heartbeat: worker ${life.id} holds ${life.beats.size} jobs`);
  }

  private log(level: "info" | "warn" | "error", message: string): void {
    this.body.tell({ tell: "log", level, message });
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
