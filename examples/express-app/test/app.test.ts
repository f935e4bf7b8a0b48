import assert from "node:assert/strict";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { TestServer } from "@jobforge/sdk/testing";

let jobforge: TestServer;
let web: Server;
let url: string;
let jf: (typeof import("../src/tasks.js"))["jf"];
const stop = new AbortController();
let work: Promise<void>;

before(async () => {
  jobforge = await TestServer.start();
  // The client of the tasks goes by this.
  process.env.JOBFORGE_URL = jobforge.socketUrl;
  const { app } = await import("../src/app.js");
  ({ jf } = await import("../src/tasks.js"));
  web = app().listen(0, "127.0.0.1");
  await once(web, "listening");
  url = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
  work = jf.work({ signal: stop.signal, graceMs: 0, logger: { info() {}, warn() {}, error() {} } });
});

after(async () => {
  stop.abort();
  await work;
  web.closeAllConnections();
  web.close();
  await jobforge.stop();
});

function order(month: string, pages: number): Promise<Response> {
  const body = JSON.stringify({ month, pages });
  return fetch(`${url}/reports`, { method: "POST", headers: { "content-type": "application/json" }, body });
}

interface View {
  status: string;
  percent: number;
  message: string | null;
  result: unknown;
}

async function events(path: string): Promise<View[]> {
  const text = await (await fetch(url + path)).text();
  return text
    .split("\n\n")
    .filter(Boolean)
    .map((event) => JSON.parse(event.slice("data: ".length)) as View);
}

test("a request enqueues a report, and the browser sees how it gets on", async () => {
  const ordered = await order("2026-11", 5);
  assert.equal(ordered.status, 202);
  const location = ordered.headers.get("location") ?? "";
  const seen = await events(`${location}/events`);
  const last = seen.at(-1);
  assert.deepEqual([last?.status, last?.percent, last?.result], ["succeeded", 100, { month: "2026-11", pages: 5 }]);
  assert.ok(
    seen.some(({ status, percent }) => status === "running" && percent > 0 && percent < 100),
    JSON.stringify(seen),
  );
  const percents = seen.map(({ percent }) => percent);
  assert.deepEqual(
    percents,
    [...percents].sort((a, b) => a - b),
  );
});

test("a second click orders nothing new", async () => {
  const [first, second] = (await Promise.all(
    [order("2026-10", 3), order("2026-10", 3)].map(async (answer) => (await answer).json()),
  )) as { id: string; created: boolean }[];
  assert.equal(first?.id, second?.id);
  assert.notEqual(first?.created, second?.created);
});

test("a report can be canceled while it is being built", async () => {
  const { id } = (await (await order("2026-09", 500)).json()) as { id: string };
  const following = events(`/reports/${id}/events`);
  while ((await jf.get(id)).status !== "running");
  await fetch(`${url}/reports/${id}`, { method: "DELETE" });
  assert.equal((await following).at(-1)?.status, "canceled");
});

test("what makes no sense fails with a reason, and what is not there is not found", async () => {
  const { id } = (await (await order("soon", 1)).json()) as { id: string };
  const last = (await events(`/reports/${id}/events`)).at(-1);
  assert.deepEqual([last?.status, last?.message], ["failed", '"soon" is no month']);
  assert.equal((await fetch(`${url}/reports/01890a5d-ac96-774b-bcce-b302099a8057`)).status, 404);
  assert.equal((await fetch(`${url}/reports/nothing`)).status, 404);
});
