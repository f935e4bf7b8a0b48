import type { ClaimedJob } from "../wire.js";
import { keyOf, type Held } from "./held.js";

/** How long a job may wait in this worker before others get it: those before it were quick, and now one is not. */
const WAITS_MS = 500;

interface Waiting {
  workerId: string;
  job: ClaimedJob;
}

/** Jobs that were taken ahead, because those that run are over in milliseconds. */
export class Ahead {
  private waiting: Waiting[] = [];

  constructor(private readonly giveBack: (workerId: string, jobs: ClaimedJob[]) => void) {}

  add(workerId: string, jobs: ClaimedJob[]): void {
    this.waiting.push(...jobs.map((job) => ({ workerId, job })));
  }

  /** Gives back what waits now and still waits after a while. */
  notForLong(): void {
    if (this.waiting.length === 0) return;
    const those = new Set(this.waiting);
    setTimeout(() => this.giveBackThose((waiting) => those.has(waiting)), WAITS_MS);
  }

  /** How many jobs of a queue wait. */
  count(queue: string): number {
    return this.waiting.filter(({ job }) => job.queue === queue).length;
  }

  /** Takes the next job for which there is room. */
  next(fits: (queue: string) => boolean): Waiting | undefined {
    const index = this.waiting.findIndex(({ job }) => fits(job.queue));
    return index < 0 ? undefined : this.waiting.splice(index, 1)[0];
  }

  /** Forgets a job that is no longer ours; whether it waited. */
  forget(job: Held): boolean {
    const before = this.waiting.length;
    this.waiting = this.waiting.filter((waiting) => keyOf(waiting.job) !== keyOf(job));
    return this.waiting.length < before;
  }

  /** Gives back everything that waits. */
  clear(): void {
    this.giveBackThose(() => true);
  }

  private giveBackThose(chosen: (waiting: Waiting) => boolean): void {
    for (const { workerId, job } of this.waiting.filter(chosen)) this.giveBack(workerId, [job]);
    this.waiting = this.waiting.filter((waiting) => !chosen(waiting));
  }
}
