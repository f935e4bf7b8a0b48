import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as v from "valibot";
import { z } from "zod";
import { ApiError, ConnectionError, InvalidPayload, JobEnded, JobForge, PayloadTooLarge, WaitTimeout } from "../src/index.js";
import { TestServer } from "../src/testing/index.js";
import { Proxy } from "./helpers/proxy.js";

let server: TestServer;
let client: JobForge;

before(async () => {
  server = await TestServer.start();
  client = server.client();
});

after(async () => {
  client.close();
  await server.stop();
});

test("the runbook's daily clean-up is enqueued once a day", async () => {
  const enqueue = () =>
    client.enqueueJob({
      tenant_id: 'system',
      type: 'system.cleanup.old_jobs',
      payload: { days_to_keep: 30 },
      idempotency_key: `cleanup-${new Date().toISOString().slice(0, 10)}`,
    })
  const first = await enqueue();
  const second = await enqueue();
  assert.equal(first.created, true);
  assert.equal(second.created, false);
  assert.equal(second.id, first.id);
});

test("the runbook's backfill enqueues each key once", async () => {
  const tenantId = "acme";
  const items = Array.from({ length: 300 }, (_, id) => ({ id: id % 250 }));
  const jobs = []
  for (const item of items) {
    jobs.push(
      client.enqueueJob({
        tenant_id: tenantId,
        type: 'backfill.process_item',
        payload: { item_id: item.id },
        idempotency_key: `backfill-${item.id}`,
      })
    )
  }

  const refs = await Promise.all(jobs)
  assert.equal(new Set(refs.map(({ id }) => id)).size, 250);
  assert.equal(refs.filter(({ created }) => created).length, 250);
});

test("the runbook's large payload is refused with advice before it is sent, and a reference is taken", async () => {
  const client = new JobForge({ url: server.url, defaults: { type: "report.build" } });
  const hugeObject = "x".repeat(100 * 1024);
  const uploadToStorage = async (_object: unknown) => "s3://bucket/key";
  await assert.rejects(
    async () => {
      await client.enqueueJob({
        payload: { large_data: hugeObject }, // Bad: >100KB
      })
    },
    (error: unknown) => error instanceof PayloadTooLarge && error.bytes > 100 * 1024 && error.message.includes("data_ref"),
  );
  const ref = await uploadToStorage(hugeObject)
  const job = await client.enqueueJob({
    payload: { data_ref: ref }, // Good: small payload
  })
  assert.deepEqual((await job.get()).payload, { data_ref: "s3://bucket/key" });
});

test("a job without a type is refused with what to do", async () => {
  await assert.rejects(client.enqueueJob({ payload: {} }), /has no type/);
});

test("a refusal tells code, field and request", async () => {
  await assert.rejects(client.enqueueJob({ type: "no such type", queue: "a b" }), (error: unknown) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.status, 422);
    assert.equal(error.code, "invalid_job");
    assert.ok(error.errors.some(({ pointer }) => pointer === "/queue"));
    assert.match(error.requestId ?? "", /^[0-9a-f-]{36}$/);
    assert.ok(error.message.includes(error.requestId ?? "?"));
    return true;
  });
  const key = { type: "email.send", idempotency_key: "k-1" };
  const first = await client.enqueueJob({ ...key, payload: { to: "a" } });
  await assert.rejects(client.enqueueJob({ ...key, payload: { to: "b" } }), (error: unknown) => {
    assert.ok(error instanceof ApiError && error.code === "idempotency_conflict");
    assert.equal(error.existing, first.id);
    return true;
  });
});

test("many jobs are enqueued with few calls, all or none", async () => {
  const refs = await client.enqueueMany(Array.from({ length: 1500 }, (_, n) => ({ type: "many.job", payload: { n } })));
  assert.equal(refs.length, 1500);
  const payloads = new Set<number>();
  for await (const job of client.jobs({ type: "many.job", limit: 500 })) payloads.add((job.payload as { n: number }).n);
  assert.equal(payloads.size, 1500);
  await assert.rejects(client.enqueueMany([{ type: "many.none" }, { type: "many none" }]), /jobs\/1|many none/);
  assert.equal((await client.list({ type: "many.none" })).jobs.length, 0);
});

test("a batch with a key is enqueued once, however often it is sent", async () => {
  const jf = server.client();
  const task = jf.task<{ n: number }>("batch.once", () => 1);
  const send = () => task.enqueueMany([{ n: 1 }, { n: 2 }, { n: 3 }], { idempotencyKey: "import-7" });
  const [first, second] = [await send(), await send()];
  assert.deepEqual(first.map(({ created }) => created), [true, true, true]);
  assert.deepEqual(second.map(({ id, created }) => [id, created]), first.map(({ id }) => [id, false]));
});

test("jobs are looked at, canceled, run again and deleted", async () => {
  const job = await client.enqueueJob({ type: "some.work", queue: "nobody", tags: ["x"] });
  assert.equal((await client.list({ tag: "x", status: ["queued", "running"] })).jobs[0]?.id, job.id);
  assert.equal((await job.cancel({ reason: "a test" })).status, "canceled");
  assert.equal((await job.cancel()).status, "canceled");
  await assert.rejects(job.result(), (error: unknown) => error instanceof JobEnded && error.status === "canceled");
  assert.equal((await client.retry(job.id)).status, "queued");
  assert.match((await client.explain(job.id)).headline, /./);
  await job.cancel();
  await client.delete(job.id);
  await assert.rejects(client.get(job.id), (error: unknown) => error instanceof ApiError && error.code === "job_not_found");
});

test("waiting for a result ends in time or by a signal, and the job goes on", async () => {
  const job = await client.enqueueJob({ type: "some.work", queue: "nobody" });
  await assert.rejects(job.result({ timeoutMs: 100 }), WaitTimeout);
  await assert.rejects(job.result({ signal: AbortSignal.timeout(100) }), /aborted due to timeout/);
  assert.equal((await job.get()).status, "queued");
});

test("options of the task and of the call become those of the job", async () => {
  const jf = server.client();
  const task = jf.task("opt.task", { queue: "slow", maxAttempts: 7, timeoutMs: 5000, retry: { baseMs: 10, factor: 3 }, tags: ["t"] }, () => 1);
  const runAt = new Date(Date.now() + 3_600_000);
  const job = await (await task.enqueue({}, { tenantId: "acme", runAt, maxAttempts: 2 })).get();
  assert.deepEqual(
    [job.queue, job.max_attempts, job.timeout_ms, job.tenant_id, job.tags, new Date(job.run_at).getTime()],
    ["slow", 2, 5000, "acme", ["t"], runAt.getTime()],
  );
});

test("a payload that does not fit its schema is refused before it is sent, with Zod and with Valibot", async () => {
  const jf = server.client();
  const byZod = jf.task("schema.zod", { schema: z.object({ url: z.url(), retries: z.number().default(3) }) }, ({ retries }) => retries + 1);
  const byValibot = jf.task("schema.valibot", { schema: v.object({ n: v.number() }) }, ({ n }) => n);
  await assert.rejects(byZod.enqueue({ url: "no" }), (error: unknown) => {
    assert.ok(error instanceof InvalidPayload);
    assert.equal(error.issues[0]?.path, "url");
    return true;
  });
  // @ts-expect-error The type checker finds it as well.
  await assert.rejects(byValibot.enqueue({ n: "5" }), InvalidPayload);
  const job = await byZod.enqueue({ url: "https://example.com" });
  assert.deepEqual((await job.get()).payload, { url: "https://example.com" }, "the input is sent, not what the schema makes of it");
});

test("a call that may be repeated survives lost answers, and another is not repeated", async () => {
  const proxy = await Proxy.before(server.url);
  try {
    const through = new JobForge({ url: proxy.url });
    let losses = 2;
    proxy.fate = () => (losses-- > 0 ? "lose answer" : "pass");
    const job = await through.enqueueJob({ type: "lost.answer", idempotency_key: "once" });
    assert.equal(job.created, false, "the first try made it");
    assert.equal(proxy.seen.length, 3);
    losses = 1;
    await assert.rejects(through.enqueueJob({ type: "lost.answer" }), (error: unknown) => error instanceof ConnectionError && error.sent);
    assert.equal(proxy.seen.length, 4);
    losses = 1;
    assert.equal((await through.get(job.id)).id, job.id);
  } finally {
    await proxy.close();
  }
});

test("a server that is not there is told of with the way out", async () => {
  const nobody = new JobForge({ url: "http://127.0.0.1:1" });
  await assert.rejects(nobody.enqueueJob({ type: "a" }), /JOBFORGE_URL/);
  assert.throws(() => new JobForge({ url: "ftp://host" }), /no address of a server/);
});

test("calls outlive a restart of the server", async () => {
  const restarting = await TestServer.start();
  try {
    const jf = restarting.client();
    const job = await jf.enqueueJob({ type: "some.work" });
    await restarting.kill();
    const answer = jf.get(job.id);
    await restarting.restart();
    assert.equal((await answer).id, job.id);
  } finally {
    await restarting.stop();
  }
});
