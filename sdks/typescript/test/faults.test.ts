import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { JobForge, LeaseLost } from "../src/index.js";
import { TestServer } from "../src/testing/index.js";
import { Proxy } from "./helpers/proxy.js";
import { until } from "./helpers/until.js";
import { notes, WorkerProcess } from "./helpers/worker-process.js";
import { workerUrl, working } from "./helpers/working.js";

const LEASE_MS = 3000;
/** A new server waits so long before it holds silence against anybody, and the lease comes on top. */
const RESCUED_WITHIN_MS = 60_000;

let server: TestServer;
let client: JobForge;
let proxy: Proxy;
let journal: string;
const processes: WorkerProcess[] = [];

before(async () => {
  server = await TestServer.start({ env: { JOBFORGE_WORKER_LEASE_MS: String(LEASE_MS) } });
  client = server.client();
});

after(async () => {
  client.close();
  await server.stop();
});

beforeEach(async () => {
  proxy = await Proxy.before(workerUrl(server));
  journal = join(mkdtempSync(join(tmpdir(), "jobforge-journal-")), "notes");
});

afterEach(async () => {
  for (const worker of processes.splice(0)) {
    worker.signal("SIGCONT");
    await worker.end("SIGKILL");
  }
  await proxy.close();
});

function start(url: string, env?: Record<string, string>): WorkerProcess {
  const worker = WorkerProcess.start(url, journal, env);
  processes.push(worker);
  return worker;
}

const sleepJob = (ms: number) => client.enqueueJob({ type: "test.sleep", payload: { ms } });
const started = (count = 1) =>
  until(
    `${count} handlers have started`,
    () => notes(journal).filter(({ what }) => what === "start").length >= count,
    RESCUED_WITHIN_MS,
  );

test("the jobs of a worker that was killed run in another", async () => {
  const killed = start(workerUrl(server));
  const job = await sleepJob(1500);
  await started();
  await killed.end("SIGKILL");
  start(workerUrl(server));
  await job.result({ timeoutMs: RESCUED_WITHIN_MS });
  const [first, second] = notes(journal).filter(({ what }) => what === "start");
  assert.ok(first && second && second.fence > first.fence && second.pid !== first.pid);
});

test("a frozen worker stops its jobs when it thaws, and comes back under another name", async () => {
  const frozen = start(proxy.url);
  const job = await sleepJob(5000);
  await started();
  frozen.signal("SIGSTOP");
  start(workerUrl(server));
  await started(2);
  frozen.signal("SIGCONT");
  const stop = await until("the frozen handler is stopped", () =>
    notes(journal).find(({ what, pid }) => what === "stop" && pid === frozen.pid),
  );
  assert.equal(stop.reason, "LeaseLost");
  await job.result({ timeoutMs: RESCUED_WITHIN_MS });
  assert.equal(notes(journal).filter(({ what }) => what === "end").length, 1);
  await until(
    "it has registered anew",
    () => new Set(proxy.of("register").map(({ body }) => body.worker_id)).size === 2,
  );
});

test("a worker that cannot renew stops its jobs a margin before its lease ends, and begins anew", async () => {
  const jf = new JobForge({ url: proxy.url });
  let stoppedAt = 0;
  let reason: unknown;
  const task = jf.task(
    "cut.off",
    (_, ctx) =>
      new Promise((_, reject) => {
        if (ctx.job.fence > 1) return reject(new Error("once more"));
        ctx.signal.addEventListener("abort", () => {
          stoppedAt = performance.now();
          reason = ctx.signal.reason;
          reject(ctx.signal.reason);
        });
      }),
  );
  await working(jf, {}, async (lines) => {
    await task.enqueue({}, { maxAttempts: 1 });
    const renewal = await until(
      "it runs and has renewed",
      () => reason === undefined && proxy.of("heartbeat").filter(({ body }) => body.state === "run").length >= 2,
    );
    assert.ok(renewal);
    let lastRenewal = performance.now();
    let cut = false;
    proxy.fate = (path) => {
      if (!cut && path.endsWith("/heartbeat")) lastRenewal = performance.now();
      return cut ? "drop" : "pass";
    };
    await setTimeout(LEASE_MS / 2);
    cut = true;
    await until("the handler is stopped", () => stoppedAt > 0, LEASE_MS * 2);
    const silent = stoppedAt - lastRenewal;
    assert.ok(
      silent <= LEASE_MS * 0.8 + 400,
      `stopped ${Math.round(silent)} ms after the last renewal of a lease of ${LEASE_MS} ms`,
    );
    assert.ok(reason instanceof LeaseLost);
    cut = false;
    await until("it has come back", () => lines.all.filter((line) => /^worker \S+ takes/.test(line)).length === 2);
  });
});

test("a restart of the server costs a running job nothing", async () => {
  const own = await TestServer.start({ env: { JOBFORGE_WORKER_LEASE_MS: "10000" } });
  try {
    const jf = new JobForge({ url: workerUrl(own) });
    const task = jf.task("long.enough", () => setTimeout(2500, "done"));
    await working(jf, {}, async () => {
      const job = await task.enqueue({});
      await until("it runs", async () => (await job.get()).status === "running");
      await own.kill();
      await own.restart();
      assert.equal(await job.result(), "done");
      const { attempts, attempts_made } = await job.get();
      assert.deepEqual([attempts, attempts_made.length], [1, 1]);
      assert.equal(await (await task.enqueue({})).result(), "done");
    });
  } finally {
    await own.stop();
  }
});

test("what was given away in an answer that got lost is asked for again, and runs once", async () => {
  let lose = true;
  proxy.fate = (path) => {
    const jobs = path.endsWith("/claim") && lose;
    return jobs ? "lose answer" : "pass";
  };
  const jf = new JobForge({ url: proxy.url });
  const runs: string[] = [];
  const task = jf.task("lost.claim", (_, { job }) => void runs.push(job.id));
  const jobs = await task.enqueueMany([{}, {}, {}]);
  await working(jf, {}, async () => {
    await until("a claim has been lost", () =>
      proxy.of("claim").some(({ answer }) => (answer?.jobs as unknown[] | undefined)?.length),
    );
    lose = false;
    for (const job of jobs) await job.result();
    assert.ok(
      proxy.of("claim").some(({ body }) => Array.isArray(body.held)),
      "the next claim says what is held",
    );
    assert.deepEqual(runs.sort(), jobs.map(({ id }) => id).sort());
    for (const job of jobs) assert.equal((await job.get()).attempts, 1);
  });
});

test("results whose answers got lost are told again until they are answered", async () => {
  let losses = 4;
  proxy.fate = (path) => (path.endsWith("/results") && losses-- > 0 ? "lose answer" : "pass");
  const jf = new JobForge({ url: proxy.url });
  const task = jf.task("lost.result", (_, { job }) => job.attempt);
  await working(jf, {}, async () => {
    const job = await task.enqueue({});
    assert.equal(await job.result(), 1);
    await until("the last one is answered", () => proxy.of("results").filter(({ answer }) => answer).length > 4);
    const answers = proxy.of("results").map(({ answer }) => (answer?.results as { answer: string }[])[0]?.answer);
    assert.deepEqual(answers, ["applied", "replayed", "replayed", "replayed", "replayed"]);
  });
});

test("a handler that blocks the event loop silences neither lease nor heartbeat, and is told of", async () => {
  const worker = start(workerUrl(server), { HEARTBEAT_INTERVAL_MS: "1000" });
  const job = await client.enqueueJob({ type: "test.block", payload: { ms: 9000 } });
  await started();
  const seen = await until("people see that it blocks", async () => {
    const { progress } = await job.get();
    return /blocking the event loop/.test(progress.message ?? "") && progress.message;
  });
  assert.match(seen, /for 5 s/);
  await job.result();
  assert.match(worker.text, /WARN Heartbeat: worker worker-\w+ goes on, but a handler has been blocking/);
  const { attempts, attempts_made } = await job.get();
  assert.deepEqual([attempts, attempts_made.length], [1, 1]);
  assert.match((await client.logs(job.id))[0]?.text ?? "", /blocking the event loop/);
});

test("a process whose handler blocks beyond a lost lease ends itself, where it may", async () => {
  const worker = start(proxy.url, { EXIT_WHEN_LOST: "1" });
  const job = await client.enqueueJob({ type: "test.block", payload: { ms: 60_000 } });
  await started();
  proxy.fate = () => "drop";
  assert.equal(await worker.exit(), "SIGKILL");
  assert.match(worker.text, /this process ends itself/);
  await job.cancel();
});

test("SIGTERM stops a worker in good order", async () => {
  const worker = start(workerUrl(server), { GRACE_MS: "300" });
  const job = await sleepJob(60_000);
  await started();
  assert.equal(await worker.end("SIGTERM"), 0);
  assert.equal(notes(journal).at(-1)?.reason, "Shutdown");
  const { status, attempts } = await job.get();
  assert.deepEqual([status, attempts], ["queued", 0]);
  await job.cancel();
});
