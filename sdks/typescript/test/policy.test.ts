import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, ConnectionError } from "../src/errors.js";
import { backoff, nextInterval } from "../src/policy/backoff.js";
import { BeatSchedule, dueIn } from "../src/policy/beats.js";
import { ask, paceOf, turn, type Filling } from "../src/policy/claims.js";
import { Lease } from "../src/policy/lease.js";
import { LoopWatch } from "../src/policy/loop-watch.js";
import { retryIn } from "../src/policy/retry.js";

const runbook = {
  enabled: true,
  interval_ms: 30_000,
  max_interval_ms: 120_000,
  multiplier: 2,
  stale_after_ms: 120_000,
};

test("the runbook's poll values back off 2, 4, 8, 10, 10 s and begin anew after work", () => {
  const poll = { interval_ms: 2000, max_interval_ms: 10_000, multiplier: 2 };
  const waits: number[] = [];
  for (let last: number | undefined; waits.length < 5; waits.push(last)) last = nextInterval(poll, last);
  assert.deepEqual(waits, [2000, 4000, 8000, 10_000, 10_000]);
  assert.equal(nextInterval(poll), 2000);
});

test("a maximum below the interval is raised to it, and odd multipliers never shrink an interval", () => {
  assert.equal(nextInterval({ interval_ms: 5000, max_interval_ms: 1000, multiplier: 2 }, 5000), 5000);
  for (const multiplier of [0, -3, NaN, Infinity, 1e300]) {
    const next = nextInterval({ interval_ms: 10, max_interval_ms: 100, multiplier }, 50);
    assert.ok(next >= 50 && next <= 100, `${multiplier}: ${next}`);
  }
});

test("waits double up to the longest", () => {
  assert.deepEqual(
    [1, 2, 3, 8, 5000].map((failures) => backoff(failures, 50, 5000)),
    [50, 100, 200, 5000, 5000],
  );
});

test("a worker stops its jobs a fifth of the lease before others may start them, counted from when it asked", () => {
  const lease = new Lease(20_000, 1000);
  assert.equal(lease.actsUntil(), 17_000);
  lease.renewed(6000, 20_000);
  assert.equal(lease.actsUntil(), 22_000);
  assert.equal(lease.endsAt(), 26_000);
  assert.equal(lease.pause(false), 5000);
  assert.equal(lease.pause(true), 1000);
});

test("answers that overtake one another never shorten the lease", () => {
  const lease = new Lease(20_000, 0);
  lease.renewed(6000, 20_000);
  lease.renewed(3000, 20_000);
  assert.equal(lease.actsUntil(), 22_000);
});

test("a shorter lease counts at once, a longer one when it was given as long as the one before lasted", () => {
  const lease = new Lease(20_000, 0);
  lease.renewed(1000, 8000);
  assert.equal(lease.lengthMs, 8000);
  lease.renewed(2000, 40_000);
  lease.renewed(6000, 30_000);
  assert.equal(lease.lengthMs, 8000);
  lease.renewed(10_000, 40_000);
  assert.equal(lease.lengthMs, 30_000);
  lease.renewed(40_000, 40_000);
  assert.equal(lease.lengthMs, 40_000);
});

/** When heartbeats of one silent job are sent within a time. */
function beatsWithin(rhythm: typeof runbook, ms: number): number[] {
  const schedule = new BeatSchedule(rhythm);
  schedule.started("a", 1, 0);
  const sent: number[] = [];
  for (let now = 0; now <= ms; now += 250) if (schedule.take(now, 10).length > 0) sent.push(now / 1000);
  return sent;
}

test("heartbeats come after 30, 60, 120, 120 s, and every 30 s without back-off", () => {
  assert.deepEqual(beatsWithin(runbook, 600_000), [30, 90, 210, 330, 450, 570]);
  assert.equal(beatsWithin({ ...runbook, multiplier: 1 }, 600_000).length, 20);
  assert.deepEqual(beatsWithin({ ...runbook, enabled: false }, 600_000), []);
});

test("a healthy job is never late at any interval of the rhythm", () => {
  for (const interval of [30_000, 60_000, 120_000])
    assert.ok(dueIn(runbook, interval) >= Math.max(120_000, 2 * interval));
});

test("reports are gathered, sent soon, and told again with what came since when they were not answered", () => {
  const schedule = new BeatSchedule(runbook);
  schedule.started("a", 1, 0);
  schedule.reported("a", 1, { percent: 1, message: "one" });
  schedule.reported("a", 1, { percent: 2 });
  const beats = schedule.take(10, 10);
  assert.deepEqual(beats[0]?.report, { percent: 2, message: "one" });
  schedule.reported("a", 1, { percent: 3 });
  assert.deepEqual(schedule.take(100, 10), [], "not sooner than half a second after the last");
  schedule.unanswered(beats, 200, 1000);
  assert.deepEqual(schedule.take(1000, 10), []);
  assert.deepEqual(schedule.take(1200, 10)[0]?.report, { percent: 3, message: "one" });
});

test("a job that was taken away is silent, but for a handler that does not listen", () => {
  const schedule = new BeatSchedule(runbook);
  schedule.started("a", 1, 0);
  schedule.stopped("a", 1);
  schedule.reported("a", 1, { percent: 50 });
  schedule.hurry(10);
  assert.deepEqual(schedule.take(1_000_000, 10), []);
  schedule.reported("a", 1, { ignores_stop: true });
  assert.equal(schedule.take(1_000_000, 10)[0]?.report?.ignores_stop, true);
  assert.deepEqual(schedule.take(9_000_000, 10), []);
});

test("reports under another fence go nowhere", () => {
  const schedule = new BeatSchedule(runbook);
  schedule.started("a", 2, 0);
  schedule.reported("a", 1, { percent: 50 });
  assert.deepEqual(schedule.take(1, 10), []);
});

const queues = [
  { name: "a", slots: 8 },
  { name: "b", slots: 8 },
];
const empty: Filling = { queues, held: new Map(), concurrency: 8, most: 100, turn: 0, paceMs: undefined };
const total = (asked: { max: number }[]) => asked.reduce((sum, { max }) => sum + max, 0);

test("free slots are shared between queues and never exceed the concurrency", () => {
  assert.deepEqual(ask(empty), [
    { name: "a", max: 4 },
    { name: "b", max: 4 },
  ]);
  for (let busy = 0; busy <= 8; busy += 1)
    assert.equal(total(ask({ ...empty, held: new Map([["a", busy]]) })), 8 - busy);
  assert.equal(total(ask({ ...empty, queues: [{ name: "a", slots: 500 }], concurrency: 500 })), 100);
});

test("with one free slot the queues are asked in turn", () => {
  const names = [0, 1, 2].map((turn) => ask({ ...empty, held: new Map([["a", 7]]), turn })[0]?.name);
  assert.deepEqual(names, ["a", "b", "a"]);
});

test("a full queue is left out and its room goes to the others", () => {
  const limited = [
    { name: "a", slots: 2 },
    { name: "b", slots: 30 },
  ];
  assert.deepEqual(ask({ ...empty, queues: limited, held: new Map([["a", 2]]), concurrency: 32 }), [
    { name: "b", max: 30 },
  ]);
  assert.deepEqual(ask({ ...empty, queues: limited, concurrency: 10 }), [
    { name: "a", max: 2 },
    { name: "b", max: 8 },
  ]);
});

test("quick jobs are taken ahead, in large claims, and long ones never", () => {
  const quick = { ...empty, paceMs: 2 };
  assert.equal(total(ask({ ...quick, held: new Map([["a", 8]]) })), 8);
  assert.equal(total(ask({ ...quick, held: new Map([["a", 9]]) })), 0);
  assert.equal(total(ask({ ...quick, held: new Map([["a", 1]]) })), 15);
  assert.equal(total(ask({ ...empty, paceMs: 200, held: new Map([["a", 7]]) })), 1);
  assert.equal(total(ask({ ...quick, most: 4, held: new Map([["a", 8]]) })), 4);
  let pace: number | undefined;
  for (const took of [1, 1, 1, 1000]) pace = paceOf(pace, took);
  assert.ok(pace && pace > 20, "one long job is enough to stop it");
});

test("an idle worker takes a job that runs alone at once, and a busy one makes room now and then", () => {
  assert.equal(turn(0, 0, "worker-0a1b2c3d"), "alone");
  const turns = Array.from({ length: 600 }, (_, second) => turn(second * 1000, 3, "worker-0a1b2c3d"));
  assert.ok(turns.slice(0, 30).every((whose) => whose === "company"));
  const rooms = turns.filter((whose) => whose === "make room").length;
  assert.ok(rooms >= 150 && rooms <= 350, `${rooms} of 600 s`);
});

test("a blocked event loop is told of once, then once a minute, and when it is free", () => {
  const watch = new LoopWatch();
  const told: string[] = [];
  for (let tick = 0; tick < 300; tick += 1) {
    const seen = watch.tick(tick < 10 ? tick : 10);
    if (seen) told.push(`${seen.state} ${seen.forMs}`);
  }
  assert.deepEqual(told, ["blocked 5000", "still blocked 65000"]);
  assert.equal(watch.tick(11)?.state, "free");
  assert.equal(watch.tick(12), undefined);
});

test("only what is safe is repeated, and being asked to slow down is always heeded", () => {
  const refused = (status: number, code: string, retryAfterMs?: number) =>
    new ApiError("POST /v1/jobs", status, { code }, undefined, retryAfterMs);
  const never = new ConnectionError("nobody listens", false);
  const lost = new ConnectionError("broken", true);
  const repeated = (error: unknown, safe: boolean, tries = 1) => retryIn(error, tries, 0, safe, 0.5) !== undefined;
  assert.ok(repeated(never, false));
  assert.ok(repeated(lost, true));
  assert.ok(!repeated(lost, false));
  assert.ok(!repeated(lost, true, 5));
  assert.ok(repeated(refused(503, "database_unreachable"), false));
  assert.ok(!repeated(refused(503, "database_interrupted"), false));
  assert.ok(repeated(refused(503, "database_interrupted"), true));
  assert.ok(!repeated(refused(422, "invalid_job"), true));
  assert.ok(!repeated(new Error("a bug"), true));
  assert.ok((retryIn(refused(429, "rate_limited", 2000), 50, 0, false, 0) ?? 0) >= 2000);
  assert.equal(retryIn(refused(429, "rate_limited", 2000), 1, 60_000, true, 0), undefined);
});
