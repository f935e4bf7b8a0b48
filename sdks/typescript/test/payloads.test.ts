import assert from "node:assert/strict";
import { mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { JobEnded, JobForge, PayloadTooLarge } from "../src/index.js";
import { TestServer } from "../src/testing/index.js";
import { working } from "./helpers/working.js";

const LARGE = "x".repeat(300 * 1024);
let folder: string;
let server: TestServer;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "jobforge-payloads-"));
  server = await TestServer.start({ env: { JOBFORGE_PAYLOAD_STORE: join(folder, "kept") } });
});

after(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

test("a payload of 300 KB is enqueued and handled whole where the server keeps large ones", async () => {
  for (const url of [server.url, server.socketUrl]) {
    const jf = new JobForge({ url });
    const measure = jf.task<{ text: string; é: string }, number>("text.measure", ({ text }) => text.length);
    await working(jf, {}, async () => {
      const job = await measure.enqueue({ text: LARGE, é: "\u2028" });
      assert.equal(await job.result(), LARGE.length);
      const { payload } = (await job.get()) as { payload: { "$jobforge.payload": { bytes: number } } };
      assert.ok(payload["$jobforge.payload"].bytes > LARGE.length);
    });
  }
});

test("large and small jobs are enqueued in one call, in as many requests as they need", async () => {
  const jf = new JobForge({ url: server.url });
  const large = "y".repeat(3 * 1024 * 1024);
  const payloads = ["a", large, "b", large, "c".repeat(9 * 1024 * 1024)];
  const refs = await jf.enqueueMany(payloads.map((payload) => ({ type: "text.keep", payload })));
  assert.equal(new Set(refs.map(({ id }) => id)).size, payloads.length);
  assert.equal((await refs[2]!.get()).payload, "b");
  await assert.rejects(
    jf.enqueueJob({ type: "text.keep", payload: "z".repeat(17 * 1024 * 1024) }),
    (error: unknown) => error instanceof PayloadTooLarge && error.message.includes(String(16 * 1024 * 1024)),
  );
});

test("an attempt whose payload is gone fails with what happened, and one that has it succeeds", async () => {
  const jf = new JobForge({ url: server.url });
  const lost = jf.task<string, number>("text.lost", { maxAttempts: 1 }, (text) => text.length);
  const job = await lost.enqueue(LARGE);
  const kept = await readdir(join(folder, "kept"), { recursive: true });
  const file = join(folder, "kept", kept.find((name) => name.includes(job.id.replaceAll("-", "")))!);
  await rename(file, `${file}.away`);
  await working(jf, {}, async () => {
    await assert.rejects(job.result(), (error: unknown) => error instanceof JobEnded && error.kind === "payload_missing");
    await rename(`${file}.away`, file);
    await jf.retry(job.id);
    assert.equal(await job.result(), LARGE.length);
  });
});
