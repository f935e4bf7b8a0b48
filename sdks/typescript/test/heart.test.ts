import assert from "node:assert/strict";
import { test } from "node:test";
import { Heart, type HeartbeatRequest } from "../src/worker/heart.js";
import type { FromThread } from "../src/worker/messages.js";
import type { HeartbeatAnswer, Registration } from "../src/wire.js";

const LEASE_MS = 20_000;

/** A heart on a simulated clock, before a server that answers as a test says. */
class Ward {
  now = 0;
  turns = 0;
  readonly sent: { at: number; request: HeartbeatRequest }[] = [];
  readonly told: FromThread[] = [];
  ended = false;
  answer: (request: HeartbeatRequest) => HeartbeatAnswer | Error | undefined = () => ({
    worker: "live",
    lease_ms: LEASE_MS,
    epoch: 0,
    jobs: [],
  });
  readonly heart = new Heart({
    now: () => this.now,
    turns: () => this.turns,
    heartbeat: async (request) => {
      this.sent.push({ at: this.now, request });
      const answer = this.answer(request);
      if (answer === undefined) return new Promise(() => undefined);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    tell: (message) => this.told.push(message),
    cry: () => undefined,
    lastResort: () => (this.ended = true),
  });

  constructor() {
    this.heart.told({ tell: "begin", registration: registration("worker-00000001"), sent: 0 });
  }

  /** Lets time pass, a tick at a time. */
  async pass(ms: number): Promise<void> {
    for (const until = this.now + ms; this.now < until;) {
      this.now += 250;
      this.turns += 1;
      this.heart.tick();
      for (let turn = 0; turn < 4; turn += 1) await Promise.resolve();
    }
  }

  renewals(): number[] {
    return this.sent.filter(({ request }) => request.state).map(({ at }) => at);
  }

  lost(): (FromThread & { tell: "lost" }) | undefined {
    return this.told.find((message) => message.tell === "lost");
  }
}

function registration(worker_id: string): Registration {
  return {
    worker_id,
    lease_ms: LEASE_MS,
    renew_ms: LEASE_MS / 4,
    heartbeat: { enabled: true, interval_ms: 30_000, max_interval_ms: 60_000, multiplier: 2, stale_after_ms: 120_000 },
    poll: { wait_ms: 20_000, interval_ms: 2000, max_interval_ms: 10_000, multiplier: 2 },
    limits: { claim: 100, heartbeat: 1000, results: 1000, body_bytes: 8_388_608 },
  };
}

const job = { id: "a", fence: 1 };

test("a lease is renewed four times as often as it lasts", async () => {
  const ward = new Ward();
  await ward.pass(20_000);
  assert.deepEqual(ward.renewals(), [0, 5000, 10_000, 15_000, 20_000]);
});

test("renewals that fail are tried more often, and the worker gives up a fifth of the lease before its end", async () => {
  const ward = new Ward();
  await ward.pass(1000);
  ward.answer = () => new Error("nobody listens");
  await ward.pass(20_000);
  assert.equal(ward.lost()?.workerId, "worker-00000001");
  // The renewal of moment 0 was the last that was answered.
  assert.equal(Math.max(...ward.renewals()), 15_000);
  assert.ok(ward.renewals().length > 8);
});

test("renewals that are not answered do not make the next ones wait", async () => {
  const ward = new Ward();
  await ward.pass(1000);
  ward.answer = () => undefined;
  await ward.pass(11_000);
  assert.deepEqual(ward.renewals(), [0, 5000, 10_000]);
  assert.equal(ward.lost(), undefined);
});

test("a worker that slept through its lease does not ask any more", async () => {
  const ward = new Ward();
  await ward.pass(1000);
  const before = ward.renewals().length;
  ward.now += 60_000;
  await ward.pass(250);
  assert.ok(ward.lost());
  assert.equal(ward.renewals().length, before);
});

test("what the server says of its jobs is passed on, and a lost lease as well", async () => {
  const ward = new Ward();
  ward.heart.told({ tell: "started", jobs: [job] });
  ward.answer = (request) =>
    request.state ? { worker: "live", lease_ms: LEASE_MS, jobs: [] } : { jobs: [{ id: "a", state: "canceled" }] };
  ward.heart.told({ tell: "look", id: "a" });
  await ward.pass(250);
  assert.deepEqual(
    ward.told.find(({ tell }) => tell === "stop"),
    { tell: "stop", job, state: "canceled" },
  );
  ward.answer = () => ({ worker: "lost", jobs: [] });
  await ward.pass(5000);
  assert.match(ward.lost()?.why ?? "", /server says/);
});

test("when another database has taken over, a heartbeat is sent for every job", async () => {
  const ward = new Ward();
  ward.heart.told({ tell: "started", jobs: [job] });
  await ward.pass(2000);
  assert.equal(ward.sent.filter(({ request }) => request.jobs).length, 0);
  ward.answer = (request) => ({
    worker: "live",
    lease_ms: LEASE_MS,
    epoch: 1,
    jobs: (request.jobs ?? []).map(({ id }) => ({ id, state: "kept" })),
  });
  await ward.pass(5000);
  assert.equal(ward.sent.filter(({ request }) => request.jobs).length, 1);
});

test("an order to restart is passed on once", async () => {
  const ward = new Ward();
  ward.answer = () => ({ worker: "live", lease_ms: LEASE_MS, restart: true, jobs: [] });
  await ward.pass(20_000);
  assert.equal(ward.told.filter(({ tell }) => tell === "restart").length, 1);
});

test("a process ends itself when handlers go on after the lease, and not when they have stopped", async () => {
  for (const stops of [true, false]) {
    const ward = new Ward();
    ward.heart.told({ tell: "started", jobs: [job] });
    await ward.pass(250);
    ward.answer = () => new Error("nobody listens");
    await ward.pass(16_000);
    assert.ok(ward.lost());
    if (stops) ward.heart.told({ tell: "stopped" });
    await ward.pass(3000);
    assert.equal(ward.ended, false, "not before the lease ends");
    await ward.pass(2000);
    assert.equal(ward.ended, !stops);
  }
});

test("the log has the word at the start, on change, and once a minute", async () => {
  const ward = new Ward();
  await ward.pass(2000);
  ward.heart.told({ tell: "started", jobs: [job] });
  await ward.pass(120_000);
  const lines = ward.told.filter((message) => message.tell === "log").map(({ message }) => message);
  assert.deepEqual(lines, [
    "Heartbeat: worker worker-00000001 holds 0 jobs",
    ...Array.from({ length: 2 }, () => "Heartbeat: worker worker-00000001 holds 1 jobs"),
  ]);
});
