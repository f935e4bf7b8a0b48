import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { Dead, InvalidPayload, JobCanceled, JobEnded, JobForge, Retry, Snooze } from "../src/index.js";
import { inMemory, TestContext } from "../src/testing/index.js";

test("a handler runs directly, and what it reports is recorded", async () => {
  const jf = new JobForge();
  const build = jf.task("report.build", { schema: z.object({ pages: z.number() }) }, async ({ pages }, ctx) => {
    for (let page = Number(ctx.checkpoint ?? 0); page < pages; page += 1) {
      await ctx.progress((100 * page) / pages, `page ${page}`, { checkpoint: page + 1 });
    }
    ctx.count({ processed: pages });
    ctx.log("all rendered");
    return { pages, attempt: ctx.job.attempt };
  });
  const ctx = new TestContext({ attempt: 2, checkpoint: 1 });
  assert.deepEqual(await build.run({ pages: 3 }, ctx), { pages: 3, attempt: 2 });
  assert.deepEqual(
    ctx.reports.map(({ message }) => message),
    ["page 1", "page 2"],
  );
  assert.deepEqual([ctx.saved, ctx.lines, ctx.items.processed], [[2, 3], ["all rendered"], 3]);
  await assert.rejects(build.run({ pages: "three" }, ctx), InvalidPayload);
  ctx.stop(new JobCanceled());
  await assert.rejects(build.run({ pages: 9 }, ctx), JobCanceled);
});

test("jobs are recorded in memory and run when a test says so", async () => {
  const jf = new JobForge();
  const welcome = jf.task<{ to: string }>("email.send", ({ to }) => ({ sent: to }));
  const signup = jf.task<{ email: string }>("user.signup", async ({ email }) => {
    await welcome.enqueue({ to: email }, { idempotencyKey: `welcome-${email}` });
  });
  const memory = inMemory(jf);
  await signup.enqueue({ email: "a@example.org" });
  await signup.enqueue({ email: "a@example.org" });
  assert.equal(memory.enqueuedOf("email.send").length, 0);
  assert.equal(await memory.drain(), 3);
  assert.deepEqual(
    memory.enqueuedOf("email.send").map(({ payload }) => payload),
    [{ to: "a@example.org" }],
  );
  const [mail] = memory.enqueuedOf("email.send");
  assert.deepEqual(await jf.job(mail!.id).result(), { sent: "a@example.org" });
});

test("in memory attempts end as they do in a worker", async () => {
  const jf = new JobForge();
  const flaky = jf.task("flaky.job", { maxAttempts: 3 }, (_, { job }) => {
    if (job.attempt < 3) throw new Retry("not yet", { afterMs: 60_000 });
    return job.attempt;
  });
  const sleepy = jf.task("sleepy.job", (_, { job }) => {
    if (job.fence < 4) throw new Snooze(1000);
    return job.attempt;
  });
  const doomed = jf.task("doomed.job", () => {
    throw new Dead("gone", { kind: "gone" });
  });
  const memory = inMemory(jf);
  const refs = [await flaky.enqueue({}), await sleepy.enqueue({}), await doomed.enqueue({})] as const;
  await memory.drain();
  assert.equal(await refs[0].result(), 3);
  assert.equal(await refs[1].result(), 1);
  await assert.rejects(refs[2].result(), (error: unknown) => error instanceof JobEnded && error.kind === "gone");
});
