/** The work that takes too long for a request. `jobforge-worker build/src/tasks.js` runs it. */
import { setTimeout } from "node:timers/promises";
import { Failed, JobForge } from "@jobforge/sdk";

export const jf = new JobForge();

export interface Report {
  month: string;
  pages: number;
}

export const buildReport = jf.task<{ month: string; pages: number }, Report>(
  "report.build",
  { queue: "reports", maxAttempts: 3, progressTimeoutMs: 60_000 },
  async ({ month, pages }, ctx) => {
    if (!/^\d{4}-\d{2}$/.test(month)) throw new Failed(`"${month}" is no month`, { kind: "no_month" });
    // A later attempt goes on where this one got to.
    for (let page = Number(ctx.checkpoint ?? 0); page < pages; page += 1) {
      await setTimeout(200, undefined, { signal: ctx.signal });
      await ctx.progress((100 * (page + 1)) / pages, `page ${page + 1} of ${pages}`, { checkpoint: page + 1 });
    }
    return { month, pages };
  },
);
