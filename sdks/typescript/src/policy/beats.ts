import type { Report } from "../wire.js";
import { nextInterval, type Rhythm } from "./backoff.js";

/** Between a handler's report and the next one that is sent, at least. */
const REPORT_EVERY_MS = 500;

export interface BeatRhythm extends Rhythm {
  enabled: boolean;
  stale_after_ms: number;
}

export interface Beat {
  id: string;
  fence: number;
  due_in_ms: number;
  interval_ms?: number;
  report?: Report;
}

interface Held {
  id: string;
  fence: number;
  interval: number;
  /** When the next heartbeat is due whatever happens. */
  next: number;
  /** When the last one was sent. */
  last: number;
  /** What the handler has reported since. */
  news: Report | undefined;
  /** What the handler has logged so far: a log replaces the one that was sent before. */
  log: string;
  /** It was canceled or taken away. */
  stopped: boolean;
}

/** How much silence a job that beats every `interval` is allowed: a healthy job is never late. */
export function dueIn(rhythm: BeatRhythm, interval: number): number {
  return Math.max(rhythm.stale_after_ms, 2 * interval);
}

/** When each job's next heartbeat is due. Pure: moments are given by the caller. */
export class BeatSchedule {
  private readonly jobs = new Map<string, Held>();

  constructor(public rhythm: BeatRhythm) {}

  get size(): number {
    return this.jobs.size;
  }

  started(id: string, fence: number, now: number): void {
    const interval = nextInterval(this.rhythm);
    const next = this.after(now, interval);
    this.jobs.set(keyOf(id, fence), {
      id,
      fence,
      interval,
      next,
      last: -Infinity,
      news: undefined,
      log: "",
      stopped: false,
    });
  }

  ended(id: string, fence: number): void {
    this.jobs.delete(keyOf(id, fence));
  }

  clear(): void {
    this.jobs.clear();
  }

  /** Adds to what the next heartbeat of a job tells. Nothing happens if the job has ended. */
  reported(id: string, fence: number, report: Report): void {
    const job = this.jobs.get(keyOf(id, fence));
    if (!job || (job.stopped && !report.ignores_stop)) return;
    job.news = { ...job.news, ...report };
    job.log = report.log ?? job.log;
  }

  /** The job is no longer ours: nothing more is told of it, but that its handler does not listen. */
  stopped(id: string, fence: number): void {
    const job = this.jobs.get(keyOf(id, fence));
    if (!job) return;
    job.stopped = true;
    job.next = Infinity;
    job.news = undefined;
  }

  /** Adds to the next heartbeat of every job. */
  reportAll(message: string): void {
    for (const job of this.jobs.values()) {
      if (job.stopped) continue;
      job.log = `${job.log}${message}\n`;
      job.news = { ...job.news, message, log: job.log };
    }
  }

  /** Makes heartbeats due at once: those of all jobs, or of one. */
  hurry(now: number, id?: string): void {
    for (const job of this.jobs.values()) {
      if (!job.stopped && (id === undefined || job.id === id)) job.next = now;
    }
  }

  /** Takes the heartbeats that are due, at most `limit`. */
  take(now: number, limit: number): Beat[] {
    const beats: Beat[] = [];
    for (const job of this.jobs.values()) {
      if (beats.length === limit) break;
      if (this.momentOf(job) > now) continue;
      // A report is a sign of life as well, but only one that was due makes the interval grow.
      if (job.next <= now) job.interval = nextInterval(this.rhythm, job.interval);
      const beat: Beat = { id: job.id, fence: job.fence, due_in_ms: Math.ceil(dueIn(this.rhythm, job.interval)) };
      if (this.rhythm.enabled) beat.interval_ms = Math.ceil(job.interval);
      if (job.news) beat.report = job.news;
      beats.push(beat);
      job.news = undefined;
      job.last = now;
      job.next = job.stopped ? Infinity : this.after(now, job.interval);
    }
    return beats;
  }

  /** Puts back what a heartbeat was to tell that was not answered. What was reported since is newer. */
  unanswered(beats: Beat[], now: number, againInMs: number): void {
    for (const { id, fence, report } of beats) {
      const job = this.jobs.get(keyOf(id, fence));
      if (!job) continue;
      if (report) job.news = { ...report, ...job.news };
      job.next = Math.min(job.next, now + againInMs);
      job.last = now + againInMs - REPORT_EVERY_MS;
    }
  }

  private momentOf(job: Held): number {
    return job.news ? Math.min(job.next, job.last + REPORT_EVERY_MS) : job.next;
  }

  private after(now: number, interval: number): number {
    return this.rhythm.enabled ? now + interval : Infinity;
  }
}

function keyOf(id: string, fence: number): string {
  return `${id}/${fence}`;
}
