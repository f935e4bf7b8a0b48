import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { TestServer } from "../src/testing/index.js";
import { Proxy } from "./helpers/proxy.js";
import { until } from "./helpers/until.js";
import { moment, notes, WorkerProcess } from "./helpers/worker-process.js";
import { workerUrl } from "./helpers/working.js";

const WORKERS = 4;
const JOBS = 120;
const KILLS = 8;
const LEASE_MS = 3000;
/** What a process that thaws may take to see that its lease is over; an overdue timer of a handler may fire before. */
const WAKE_MS = 500;

/** Mulberry32: the same seed makes the same choices. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test("workers that are killed and frozen at random, behind a bad network, lose nothing and run nothing twice at once", async () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  console.log(`SEED=${seed}`);
  const draw = random(seed);
  const journal = join(mkdtempSync(join(tmpdir(), "jobforge-journal-")), "notes");
  const server = await TestServer.start({
    env: { JOBFORGE_WORKER_LEASE_MS: String(LEASE_MS), HEARTBEAT_MAX_MISSES: "50" },
  });
  const proxy = await Proxy.before(workerUrl(server));
  proxy.fate = () => (draw() < 0.03 ? (draw() < 0.5 ? "lose answer" : "drop") : "pass");
  const still: Still[] = [];
  let workers: WorkerProcess[] = [];
  try {
    const client = server.client();
    const refs = await client.enqueueMany(
      Array.from({ length: JOBS }, () => ({
        type: "test.sleep",
        payload: { ms: 100 + Math.floor(draw() * 800) },
        max_attempts: 50,
        retry: { base_ms: 10, max_ms: 100 },
      })),
    );
    workers = Array.from({ length: WORKERS }, () => WorkerProcess.start(proxy.url, journal));
    for (let kills = 0; kills < KILLS; kills += 1) {
      await setTimeout(500 + draw() * 1000);
      const index = Math.floor(draw() * WORKERS);
      const victim = workers[index]!;
      if (draw() < 0.3) {
        // Frozen beyond its lease; what it thinks it has may run elsewhere when it thaws.
        victim.signal("SIGSTOP");
        const from = moment();
        await setTimeout(LEASE_MS * 1.3);
        victim.signal("SIGCONT");
        still.push({ pid: victim.pid, from, to: moment() + WAKE_MS });
        continue;
      }
      await victim.end("SIGKILL");
      still.push({ pid: victim.pid, from: moment(), to: Infinity });
      workers[index] = WorkerProcess.start(proxy.url, journal);
    }
    await until(
      "every job has succeeded",
      async () => (await client.list({ status: ["queued", "running"], limit: 1 })).jobs.length === 0,
      120_000,
    );
    for (const ref of refs) assert.equal((await ref.get()).status, "succeeded", ref.id);
    checkNothingRanTwiceAtOnce(journal, still);
  } finally {
    for (const worker of workers) {
      worker.signal("SIGCONT");
      await worker.end("SIGKILL");
    }
    await proxy.close();
    await server.stop();
  }
});

/** Times in which a process did nothing of its own will: frozen and waking up, or dead for good. */
interface Still {
  pid: number;
  from: number;
  to: number;
}

/** Every attempt of a job must be over, by its own note or because its process stands still, when the next one starts. */
function checkNothingRanTwiceAtOnce(journal: string, still: Still[]): void {
  const open = new Map<string, { pid: number; fence: number }>();
  for (const { what, id, fence, pid, at } of notes(journal).sort((a, b) => a.at - b.at)) {
    const before = open.get(id);
    if (what === "start") {
      const quiet = before && still.some((time) => time.pid === before.pid && time.from <= at && at <= time.to);
      assert.ok(
        !before || quiet,
        `job ${id} starts under fence ${fence} while ${before?.fence} runs in process ${before?.pid}`,
      );
      open.set(id, { pid, fence });
    } else if (before?.fence === fence) open.delete(id);
  }
}
