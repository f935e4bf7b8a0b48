import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ApiError, JobForge } from "../src/index.js";
import { TestServer } from "../src/testing/index.js";
import { working } from "./helpers/working.js";

const ADMIN = "an-admin-token-of-more-than-32-characters";

let server: TestServer;

before(async () => {
  server = await TestServer.start({ env: { ADMIN_TOKEN: ADMIN } });
});

after(() => server?.stop());

async function token(name: string, ...scopes: string[]): Promise<{ id: string; token: string }> {
  const response = await fetch(`${server.url}/v1/tokens`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${ADMIN}` },
    body: JSON.stringify({ name, scopes }),
  });
  assert.equal(response.status, 201);
  return (await response.json()) as { id: string; token: string };
}

const connect = (text: string) => new JobForge({ url: server.url, token: text });

test("a worker runs jobs over the network with a token that is for that", async () => {
  const jf = connect((await token("worker", "worker", "enqueue", "read")).token);
  const task = jf.task("over.tcp", async (_, ctx) => {
    await ctx.progress(50);
    return "ran";
  });
  await working(jf, {}, async () => {
    assert.equal(await (await task.enqueue({})).result(), "ran");
  });
});

test("a token that is not for running jobs ends the worker with the reason", async () => {
  const jf = connect((await token("reader", "read")).token);
  jf.task("not.mine", () => 1);
  await assert.rejects(jf.work(), (error: unknown) => error instanceof ApiError && error.code === "scope_missing");
  await assert.rejects(
    connect("wrong").enqueueJob({ type: "a.job" }),
    (error: unknown) => error instanceof ApiError && error.status === 401,
  );
});

test("a worker whose token is taken back ends with the reason", async () => {
  const { id, token: text } = await token("fleeting", "worker");
  const jf = connect(text);
  jf.task("for.now", () => 1);
  const quiet = { info() {}, warn() {}, error() {} };
  const work = jf.work({ graceMs: 0, logger: quiet, handleSignals: false });
  const revoked = await fetch(`${server.url}/v1/tokens/${id}`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${ADMIN}` },
  });
  assert.ok(revoked.ok);
  await assert.rejects(work, (error: unknown) => error instanceof ApiError && error.status === 401);
});
