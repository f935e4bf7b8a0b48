import type { ClaimedJob } from "../wire.js";

export interface Held {
  id: string;
  fence: number;
}

/** Which jobs this incarnation has been told of and has not had acknowledged the end of. */
export class HeldJobs {
  private readonly jobs = new Map<string, Held>();
  /** Those that ended while a claim was under way: its answer may name them once more. */
  private readonly endedMeanwhile = new Set<string>();
  private unanswered = 0;

  /** Notes that a claim is about to be sent. If the answer to one before has not come, returns what is held. */
  beforeClaim(): Held[] | undefined {
    const lost = this.unanswered > 0;
    this.unanswered += 1;
    return lost ? [...this.jobs.values()] : undefined;
  }

  /** Notes that the server has refused a claim: it has given nothing away. */
  refused(): void {
    this.unanswered = Math.max(0, this.unanswered - 1);
  }

  /** Notes the answer to a claim, and returns the jobs in it that are new. */
  claimed(jobs: readonly ClaimedJob[]): ClaimedJob[] {
    const fresh = jobs.filter((job) => !this.jobs.has(keyOf(job)) && !this.endedMeanwhile.has(keyOf(job)));
    for (const { id, fence } of fresh) this.jobs.set(keyOf({ id, fence }), { id, fence });
    this.unanswered = 0;
    this.endedMeanwhile.clear();
    return fresh;
  }

  /** Notes that the server has taken note of the end of a job. */
  ended(job: Held): void {
    this.jobs.delete(keyOf(job));
    if (this.unanswered > 0) this.endedMeanwhile.add(keyOf(job));
  }
}

export function keyOf({ id, fence }: Held): string {
  return `${id}/${fence}`;
}
