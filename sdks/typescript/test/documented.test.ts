// The snippets of the README, as they stand there, in programs that run: readme.test.ts compares the lines. The package is
// imported as applications do, by its name.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { z } from "zod";
import { Dead, JobForge } from "@jobforge/sdk";
import { InvalidPayload, JobEnded } from "@jobforge/sdk";
import { inMemory, TestContext, TestServer } from "@jobforge/sdk/testing";

const PAGE = "Example Domain";
const PATIENCE = { timeout: 60_000 };

const site = createServer((request, response) => {
  response.statusCode = request.url === "/gone" ? 410 : 200;
  response.end(PAGE);
});
const { fetch: fetched } = globalThis;
let real: TestServer;

before(async () => {
  real = await TestServer.start();
  process.env.JOBFORGE_URL = real.url;
  delete process.env.JOBFORGE_TOKEN;
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const { port } = site.address() as AddressInfo;
  // The test has no network: what is asked of example.com is answered here.
  globalThis.fetch = (url, init) => fetched(String(url).replace("https://example.com", `http://127.0.0.1:${port}`), init);
});

after(async () => {
  globalThis.fetch = fetched;
  site.closeAllConnections();
  site.close();
  await real.stop();
});

test("a task with a schema is run by the documented worker, which a signal ends in good order", PATIENCE, async () => {
  await using jf = new JobForge();

  const fetchUrl = jf.task(
    "connector.http.request",
    { schema: z.object({ url: z.url(), retries: z.number().default(3) }), queue: "http", maxAttempts: 5 },
    async ({ url, retries }, ctx) => {
      const res = await fetch(url, { signal: ctx.signal }); // aborted on cancel, timeout or lost lease
      if (res.status === 410) throw new Dead("gone"); // no retry
      const body = new Uint8Array(await res.arrayBuffer());
      await ctx.progress(100, `${body.length} bytes after ${retries} tries`);
      return { status: res.status, bytes: body.length };
    },
  );

  const work = async () => {
    const stop = new AbortController();
    process.once("SIGTERM", () => stop.abort());
    await jf.work({ queues: ["http"], concurrency: 32, signal: stop.signal });
    assert.ok(stop.signal.aborted);
  };
  const worked = work();
  try {
    const job = await fetchUrl.enqueue({ url: "https://example.com" }, { tenantId: "acme", idempotencyKey: "a-1" });
    console.log(job.id, (await job.result()).bytes); // url: 5 is a type error

    // @ts-expect-error As it says.
    await assert.rejects(fetchUrl.enqueue({ url: 5 }), InvalidPayload);
    assert.deepEqual(await job.result(), { status: 200, bytes: PAGE.length });
    const { tenant_id, idempotency_key, queue, max_attempts, progress } = await job.get();
    assert.deepEqual([tenant_id, idempotency_key, queue, max_attempts], ["acme", "a-1", "http", 5]);
    assert.equal(progress.message, `${PAGE.length} bytes after 3 tries`);

    const gone = await fetchUrl.enqueue({ url: "https://example.com/gone" });
    await assert.rejects(gone.result(), (error) => error instanceof JobEnded && error.status === "dead");
    assert.equal((await gone.get()).attempts, 1);
  } finally {
    process.kill(process.pid, "SIGTERM");
    await worked;
  }
});

test("the client enqueues what the HTTP API takes", PATIENCE, async () => {
  const client = real.client();
  await client.enqueueJob({
    tenant_id: "system",
    type: "system.cleanup.old_jobs",
    payload: { days_to_keep: 30 },
    idempotency_key: `cleanup-${new Date().toISOString().slice(0, 10)}`,
  });

  const { jobs } = await client.list({ type: "system.cleanup.old_jobs", tenant_id: "system" });
  const [job] = jobs.filter(({ idempotency_key }) => /^cleanup-\d{4}-\d\d-\d\d$/.test(idempotency_key ?? ""));
  assert.deepEqual(job?.payload, { days_to_keep: 30 });
});

test("handlers and programs are tested without a server, and with one", PATIENCE, async () => {
  const jf = new JobForge();
  const buildReport = jf.task<{ pages: number }>("report.build", async ({ pages }, ctx) => {
    for (let page = Number(ctx.checkpoint ?? 0); page < pages; page += 1) ctx.save(page + 1);
  });
  const sent: string[] = [];
  const sendEmail = jf.task<{ to: string }>("email.send", ({ to }) => void sent.push(to));
  const signUp = (to: string) => sendEmail.enqueue({ to });

  // A handler by itself.
  const ctx = new TestContext({ checkpoint: 3, attempt: 2 });
  await buildReport.run({ pages: 5 }, ctx);
  assert.deepEqual(ctx.saved, [4, 5]);

  // A program, with its jobs kept in memory.
  const memory = inMemory(jf);
  await signUp("a@example.org");
  assert.equal(memory.enqueuedOf("email.send").length, 1);
  await memory.drain(); // runs them
  memory.restore();

  assert.deepEqual(sent, ["a@example.org"]);
  assert.deepEqual((await jf.list({ type: "email.send" })).jobs, []);

  // A real server in a temporary folder, on a free port: the program that JOBFORGE_BIN names.
  await using server = await TestServer.start();
  const client = server.client();

  const job = await client.enqueueJob({ type: "email.send", payload: { to: "b@example.org" } });
  assert.equal((await job.get()).status, "queued");
  assert.notEqual(server.url, real.url);
});
