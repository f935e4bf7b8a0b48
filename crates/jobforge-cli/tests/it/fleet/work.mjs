// The TypeScript workers of a mixed fleet: the same job as a program of `exec`, done by a handler that stops when told.
import { appendFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { JobForge } from "@jobforge/sdk";

export const jf = new JobForge();

export const work = jf.task("exec", { queue: "default" }, async ({ argv }, ctx) => {
  const [diary, seconds] = argv.slice(-2);
  const note = (what) => appendFileSync(diary, `${what} ${ctx.job.id} ${ctx.job.fence} ${process.pid} typescript\n`);
  note("begun");
  try {
    await setTimeout(Number(seconds) * 1000, undefined, { signal: ctx.signal });
  } catch (error) {
    note("stopped");
    throw error;
  }
  note("done");
  return ctx.job.fence;
});
