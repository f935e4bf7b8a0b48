import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { TestServer } from "../src/testing/index.js";
import { Proxy } from "./helpers/proxy.js";
import { workerUrl } from "./helpers/working.js";

const scripts = join(__dirname, "../../../../scripts");

let server: TestServer;
let proxy: Proxy;

before(async () => {
  server = await TestServer.start();
  proxy = await Proxy.before(workerUrl(server));
});

after(async () => {
  await proxy?.close();
  await server?.stop();
});

/** What a benchmark prints: one line of JSON. */
async function run(
  script: string,
  ...options: string[]
): Promise<Record<string, number> & { without_backoff: Record<string, number> }> {
  const env = { ...process.env, JOBFORGE_URL: proxy.url };
  const { stdout } = await promisify(execFile)(process.execPath, [join(scripts, script), ...options], { env });
  assert.equal(stdout.split("\n").length, 2);
  return JSON.parse(stdout) as Awaited<ReturnType<typeof run>>;
}

test("the idle benchmark counts the polls of real workers, with back-off and without", async () => {
  const counted = await run("worker-idle-benchmark.js", "--duration-ms=5000", "--poll-ms=250", "--max-poll-ms=2000");
  assert.ok(counted.claim_count! >= 3 && counted.claim_count! <= 8, JSON.stringify(counted));
  assert.ok(counted.without_backoff.claim_count! > 2 * counted.claim_count!, JSON.stringify(counted));
  assert.equal(counted.claims_per_min, counted.claim_count! * 12);
});

test("the heartbeat benchmark counts the heartbeats of real jobs, with back-off and without", async () => {
  const counted = await run("worker-heartbeat-benchmark.js", "--duration-ms=8000", "--base-ms=500", "--max-ms=4000");
  assert.ok(counted.heartbeat_count! >= 2 && counted.heartbeat_count! <= 5, JSON.stringify(counted));
  assert.ok(counted.without_backoff.heartbeat_count! > 2 * counted.heartbeat_count!, JSON.stringify(counted));
});

test("an option that is not one is refused with those that are", async () => {
  await assert.rejects(
    run("worker-idle-benchmark.js", "--poll=3"),
    /--poll=3 is no option; there are: --duration-ms=NUMBER/,
  );
});
