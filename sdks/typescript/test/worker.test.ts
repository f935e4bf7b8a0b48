import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import {
  Dead,
  Failed,
  JobCanceled,
  JobEnded,
  JobForge,
  Retry,
  Shutdown,
  Snooze,
  Timeout,
  type Context,
  type StopReason,
} from "../src/index.js";
import { TestServer } from "../src/testing/index.js";
import { until } from "./helpers/until.js";
import { workerUrl, working } from "./helpers/working.js";

let server: TestServer;

before(async () => {
  server = await TestServer.start();
});

after(() => server?.stop());

const connect = () => new JobForge({ url: workerUrl(server) });

/** Waits until the handler is told to stop, and throws why. */
function stopped(ctx: Context): Promise<never> {
  return new Promise((_, reject) => {
    ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
  });
}

test("a task gets its payload by its schema, and its result is typed", async () => {
  const jf = connect();
  const fetchUrl = jf.task(
    "connector.http.request",
    { schema: z.object({ url: z.url(), retries: z.number().default(3) }), queue: "http", maxAttempts: 5 },
    async ({ url, retries }, ctx) => {
      await ctx.progress(100, `tried ${retries} times`);
      return { status: 200, bytes: url.length + ctx.job.attempt };
    },
  );
  await working(jf, { queues: ["http"] }, async () => {
    const job = await fetchUrl.enqueue({ url: "https://example.com" }, { tenantId: "acme", idempotencyKey: "a-1" });
    const result: { status: number; bytes: number } = await job.result();
    assert.deepEqual(result, { status: 200, bytes: 20 });
    const { progress, tenant_id } = await job.get();
    assert.deepEqual([progress.percent, progress.message, tenant_id], [100, "tried 3 times", "acme"]);
  });
});

test("a payload that does not fit fails the job for good", async () => {
  const jf = connect();
  jf.task("schema.strict", { schema: z.object({ n: z.number() }) }, ({ n }) => n);
  await working(jf, {}, async () => {
    const job = await jf.enqueueJob({ type: "schema.strict", payload: { n: "five" } });
    await assert.rejects(
      job.result(),
      (error: unknown) => error instanceof JobEnded && error.kind === "invalid_payload",
    );
    const { status, error, attempts } = await job.get();
    assert.deepEqual([status, attempts], ["failed", 1]);
    assert.match(error?.message ?? "", /n: .*number/);
  });
});

test("what a handler throws says how the attempt ended", async () => {
  const jf = connect();
  const after: Record<string, () => unknown> = {
    plain: () => {
      throw Object.assign(new Error("no route"), { code: "EHOSTUNREACH" });
    },
    retry: () => {
      throw new Retry("busy", { kind: "smtp_451", afterMs: 20 });
    },
    failed: () => {
      throw new Failed("no such account", { kind: "account", details: { account: 7 } });
    },
    dead: () => {
      throw new Dead("gone");
    },
    text: () => {
      throw "a string";
    },
    circle: () => {
      const circle: { self?: unknown } = {};
      return (circle.self = circle);
    },
    huge: () => "x".repeat(1024 * 1024),
    nothing: () => undefined,
  };
  const task = jf.task<{ how: string }>("ends.as", { maxAttempts: 2, retry: { baseMs: 1 } }, ({ how }) =>
    after[how]?.(),
  );
  await working(jf, {}, async () => {
    const ended: Record<string, unknown[]> = {};
    await Promise.all(
      Object.keys(after).map(async (how) => {
        const job = await task.enqueue({ how });
        await job.result().catch(() => undefined);
        const { status, error, attempts } = await job.get();
        ended[how] = [status, error?.kind, attempts];
      }),
    );
    assert.deepEqual(ended, {
      plain: ["dead", "EHOSTUNREACH", 2],
      retry: ["dead", "smtp_451", 2],
      failed: ["failed", "account", 1],
      dead: ["dead", "Dead", 1],
      text: ["dead", "error", 2],
      circle: ["failed", "result_not_json", 1],
      huge: ["failed", "result_too_large", 1],
      nothing: ["succeeded", undefined, 1],
    });
  });
});

test("a snoozed job runs later and has used no attempt", async () => {
  const jf = connect();
  const task = jf.task("snooze.once", (_, { job }) => {
    if (job.fence === 1) throw new Snooze(50);
    return job.attempt;
  });
  await working(jf, {}, async () => assert.equal(await (await task.enqueue({})).result(), 1));
});

test("a later attempt goes on from the checkpoint", async () => {
  const jf = connect();
  const task = jf.task("check.point", { retry: { baseMs: 1 } }, async (_, ctx) => {
    if (ctx.checkpoint) return ctx.checkpoint;
    for (let page = 1; page <= 3; page += 1) await ctx.progress(page, `page ${page}`, { checkpoint: { page } });
    throw new Error("interrupted");
  });
  await working(jf, {}, async () => assert.deepEqual(await (await task.enqueue({})).result(), { page: 3 }));
});

test("progress, phase, items and log are seen while the job runs", async () => {
  const jf = connect();
  const task = jf.task("tells.all", async (_, ctx) => {
    ctx.phase("reading");
    ctx.count({ processed: 2, failed: 1 });
    ctx.count({ processed: 1 });
    ctx.log("line one");
    ctx.log("line two");
    await ctx.progress(40.4, "reading the letters");
    return stopped(ctx);
  });
  await working(jf, {}, async () => {
    const job = await task.enqueue({});
    const seen = await until("the progress is seen", async () => {
      const detail = await job.get();
      return detail.progress.percent === 40 && detail;
    });
    assert.deepEqual([seen.progress.message, seen.progress.phase], ["reading the letters", "reading"]);
    assert.deepEqual(seen.items, { processed: 3, failed: 1, skipped: 0 });
    const logs = await jf.logs(job.id);
    assert.equal(logs[0]?.text.trim(), "line one\nline two");
    await job.cancel();
  });
});

test("a cancel fires the handler's signal in a moment", async () => {
  const jf = connect();
  let reason: StopReason | undefined;
  const task = jf.task("cancel.me", (_, ctx) => stopped(ctx).catch((error: StopReason) => (reason = error)));
  await working(jf, {}, async () => {
    const job = await task.enqueue({});
    await until("it runs", async () => (await job.get()).status === "running");
    await job.cancel();
    await until("the handler is told", () => reason, 3000);
    assert.ok(reason instanceof JobCanceled);
    assert.equal((await job.get()).status, "canceled");
  });
});

test("a handler that does not listen to a cancel is shown as ignoring it", async () => {
  const jf = connect();
  const free = new AbortController();
  const task = jf.task("cancel.deaf", async () => {
    await setTimeout(60_000, undefined, { signal: free.signal }).catch(() => undefined);
  });
  await working(jf, {}, async (lines) => {
    const job = await task.enqueue({});
    await until("it runs", async () => (await job.get()).status === "running");
    await job.cancel();
    await until("people see it", async () => {
      const [attempt] = (await job.get()).attempts_made as { stop_ignored_at?: string }[];
      return attempt?.stop_ignored_at;
    });
    assert.ok(lines.has(/goes on although it was asked to stop/));
    free.abort();
  });
});

test("an attempt that takes too long is stopped and may be tried again", async () => {
  const jf = connect();
  const reasons: unknown[] = [];
  const note = (ctx: Context) =>
    stopped(ctx).catch((error: unknown) => {
      reasons.push(error);
      throw new Error("wrapped by a library");
    });
  const long = jf.task("too.long", { timeoutMs: 150, maxAttempts: 1 }, (_, ctx) => note(ctx));
  const still = jf.task("too.still", { progressTimeoutMs: 300, maxAttempts: 1 }, async (_, ctx) => {
    for (let step = 1; step <= 4; step += 1) {
      await setTimeout(150);
      await ctx.progress(step);
    }
    return note(ctx);
  });
  await working(jf, {}, async () => {
    const first = await (await long.enqueue({})).result().catch((error: JobEnded) => error.kind);
    const second = await (await still.enqueue({})).result().catch((error: JobEnded) => error.kind);
    assert.deepEqual([first, second], ["timeout", "no_progress"]);
    assert.deepEqual(
      reasons.map((reason) => reason instanceof Timeout && reason.kind),
      ["timeout", "no_progress"],
    );
  });
});

test("jobs that were enqueued without bounds are kept to those of the task", async () => {
  const jf = connect();
  jf.task("bound.task", { timeoutMs: 200 }, (_, ctx) => stopped(ctx));
  await working(jf, {}, async () => {
    const job = await jf.enqueueJob({ type: "bound.task", max_attempts: 1 });
    await assert.rejects(job.result(), (error: unknown) => error instanceof JobEnded && error.kind === "timeout");
  });
});

test("no more jobs run at once than the concurrency and the queue's own number allow", async () => {
  const jf = connect();
  const now = { a: 0, b: 0 };
  const most = { a: 0, b: 0, all: 0 };
  const task = jf.task<{ queue: "a" | "b" }>("counts.itself", async ({ queue }) => {
    now[queue] += 1;
    most[queue] = Math.max(most[queue], now[queue]);
    most.all = Math.max(most.all, now.a + now.b);
    await setTimeout(20);
    now[queue] -= 1;
  });
  await working(jf, { queues: { a: 2, b: 8 }, concurrency: 6 }, async () => {
    const jobs = await Promise.all(
      (["a", "b"] as const).flatMap((queue) => Array.from({ length: 25 }, () => task.enqueue({ queue }, { queue }))),
    );
    await Promise.all(jobs.map((job) => job.result()));
  });
  assert.equal(most.a, 2);
  assert.ok(most.all <= 6 && most.all >= 5, `${most.all} at once`);
});

test("a worker that stops lets jobs come to their end within the grace and gives the rest back", async () => {
  const jf = connect();
  const stop = new AbortController();
  let reason: unknown;
  const short = jf.task("stop.short", { queue: "stopping" }, () => setTimeout(300, "done"));
  const long = jf.task("stop.long", { queue: "stopping" }, async (_, ctx) => {
    if (ctx.job.fence > 1) return "later";
    return stopped(ctx).catch((error: unknown) => {
      reason = error;
      throw new Error("wrapped");
    });
  });
  const work = jf.work({ signal: stop.signal, graceMs: 1000, logger: { info() {}, warn() {}, error() {} } });
  const jobs = [await short.enqueue({}), await long.enqueue({})];
  for (const job of jobs) await until("it runs", async () => (await job.get()).status === "running");
  stop.abort();
  await work;
  assert.equal(await jobs[0]?.result(), "done");
  assert.ok(reason instanceof Shutdown);
  const { status, attempts } = await jobs[1]!.get();
  assert.deepEqual([status, attempts], ["queued", 0]);
  await working(jf, {}, async () => assert.equal(await jobs[1]?.result(), "later"));
});

test("a handler that stops by the word Shutdown may still say how it ended", async () => {
  const jf = connect();
  const stop = new AbortController();
  const task = jf.task("stop.tells", { queue: "telling" }, (_, ctx) =>
    stopped(ctx).catch(() => {
      throw new Retry("not now", { kind: "interrupted", afterMs: 3_600_000 });
    }),
  );
  const work = jf.work({ signal: stop.signal, graceMs: 10, logger: { info() {}, warn() {}, error() {} } });
  const job = await task.enqueue({});
  await until("it runs", async () => (await job.get()).status === "running");
  stop.abort();
  await work;
  assert.equal((await job.get()).error?.kind, "interrupted");
});

test("waiting jobs are taken the moment they are due, whatever the poll interval", async () => {
  const jf = connect();
  const task = jf.task("due.soon", { queue: "due" }, () => performance.now());
  await working(jf, {}, async () => {
    await (await task.enqueue({})).result();
    await setTimeout(300);
    const wanted = performance.now() + 400;
    const ran = await (await task.enqueue({}, { delayMs: 400 })).result();
    assert.ok(ran >= wanted - 20 && ran < wanted + 1500, `${ran - wanted} ms late`);
  });
});

test("a worker that is told to restart drains, leaves and comes back as another", async () => {
  const jf = connect();
  const task = jf.task("restart.me", { queue: "restarting" }, () => "ran");
  await working(jf, {}, async (lines) => {
    const id = await until("it takes jobs", () =>
      lines.all.map((line) => /^worker (\S+) takes/.exec(line)?.[1]).find(Boolean),
    );
    const told = await fetch(`${server.url}/v1/workers/${id}/restart`, { method: "POST" });
    assert.equal(told.status, 202);
    await until("another has come", () => lines.all.filter((line) => /^worker \S+ takes/.test(line)).length === 2);
    assert.ok(lines.has(new RegExp(`${id} has left`)));
    assert.equal(await (await task.enqueue({})).result(), "ran");
  });
});

test("heartbeats are told of in the log at the start", async () => {
  const jf = connect();
  jf.task("quiet.task", () => 1);
  await working(jf, {}, (lines) =>
    until("a line with the word", () => lines.has(/Heartbeat: worker worker-[0-9a-f]{8} holds 0 jobs/)),
  );
});

test("a worker without tasks, or with a wrong setting, says so", async () => {
  await assert.rejects(connect().work(), /no task to work on/);
  const jf = connect();
  jf.task("some.task", () => 1);
  await assert.rejects(jf.work({ concurrency: 0 }), /concurrency is 0/);
  assert.throws(() => jf.task("some.task", () => 1), /defined twice/);
});

test("a checkpoint that cannot be written as JSON fails where it is saved, and hurts nobody else", async () => {
  const jf = connect();
  const odd = jf.task("odd.checkpoint", { maxAttempts: 1 }, (_, ctx) => ctx.save({ big: 10n }));
  const fine = jf.task("fine.job", () => "fine");
  await working(jf, {}, async () => {
    const job = await odd.enqueue({});
    await assert.rejects(job.result(), (error: unknown) => error instanceof JobEnded && error.kind === "TypeError");
    assert.equal(await (await fine.enqueue({})).result(), "fine");
  });
});

test("an error that the server does not take is told without its words", async () => {
  const jf = connect();
  const task = jf.task("odd.error", { maxAttempts: 1 }, () => {
    throw new Failed("half a character: \ud800");
  });
  await working(jf, {}, async (lines) => {
    const job = await task.enqueue({});
    await assert.rejects(job.result(), (error: unknown) => error instanceof JobEnded && error.status === "failed");
    assert.ok(lines.has(/is refused/));
  });
});

test("a process ends by itself once its worker has stopped, whatever the poll interval", async () => {
  const program = `
    const { JobForge } = require(${JSON.stringify(join(__dirname, "../src/index.js"))});
    const jf = new JobForge({ url: ${JSON.stringify(workerUrl(server))} });
    jf.task("ends.soon", () => setTimeout(() => process.kill(process.pid, "SIGTERM"), 200));
    jf.enqueueJob({ type: "ends.soon" }).then(() => jf.work());`;
  const env = { ...process.env, POLL_INTERVAL_MS: "60000" };
  const child = spawn(process.execPath, ["--eval", program], { env, stdio: "ignore" });
  const [code, signal] = (await once(child, "exit", { signal: AbortSignal.timeout(20_000) })) as unknown[];
  assert.deepEqual([code, signal], [0, null]);
});
