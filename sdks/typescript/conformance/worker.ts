/** The worker that `jobforge protocol-test` runs; see docs/protocol-test.md for what each type must do. */
import { setTimeout } from "node:timers/promises";
import { Dead, Failed, JobForge, Retry, Snooze, type StopReason } from "../src/index.js";

const jf = new JobForge();

jf.task("protocol.echo", (payload) => payload);

jf.task<{ ms: number }>("protocol.sleep", async ({ ms }, ctx) => {
  const began = performance.now();
  for (let slept = 0; slept < ms; slept = performance.now() - began) {
    await ctx.progress((100 * slept) / ms);
    await setTimeout(Math.min(200, ms - slept), undefined, { signal: ctx.signal }).catch(() => {
      throw ctx.signal.reason as StopReason;
    });
  }
  return { slept_ms: ms };
});

jf.task<{ outcome: "retry" | "failed" | "dead"; kind: string; message: string }>("protocol.fail", (payload) => {
  const Outcome = { retry: Retry, failed: Failed, dead: Dead }[payload.outcome];
  throw new Outcome(payload.message, { kind: payload.kind });
});

jf.task<{ steps: number }>("protocol.checkpoint", async ({ steps }, ctx) => {
  const before = ctx.checkpoint as { step: number } | undefined;
  if (before) return { resumed_from: before.step };
  for (let step = 1; step <= steps; step += 1) {
    await ctx.progress((100 * step) / steps, `step ${step}`, { checkpoint: { step } });
  }
  throw new Retry("interrupted after the last step", { kind: "interrupted" });
});

jf.task<{ ms: number }>("protocol.snooze", ({ ms }, { job }) => {
  if (job.fence === 1) throw new Snooze(ms);
  return { woken: true };
});

// The queue is JOBFORGE_QUEUES, the grace SHUTDOWN_GRACE_MS.
jf.work({ concurrency: 4 }).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
