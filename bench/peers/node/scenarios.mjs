// The scenarios, each returning the line to print. A peer is a module like graphile-worker.mjs.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import pg from 'pg';
import { payload } from './payload.mjs';

const ENQUEUE_BATCH_JOBS = 5000;
const DRAIN_LIMIT_MS = 600_000;
const DURABLE_LIMIT_MS = 60_000;
const DURABLE_POLL_MS = 2;
// How long a started worker is left alone, so that it has found nothing to do and waits.
const SETTLE_MS = 2000;
const LATENCY_GAP_MS = 5;
const LATENCY_LIMIT_MS = 30_000;

export async function setup(peer, { databaseUrl }) {
  await peer.setup(databaseUrl);
  return { peer: peer.NAME, scenario: 'setup', version: peer.VERSION };
}

export async function enqueueBulk(peer, { databaseUrl, jobs }) {
  const count = jobs();
  const producer = await peer.producer(databaseUrl);
  const began = process.hrtime.bigint();
  for (let first = 0; first < count; first += ENQUEUE_BATCH_JOBS) {
    const length = Math.min(ENQUEUE_BATCH_JOBS, count - first);
    await producer.addMany(Array.from({ length }, (_, offset) => payload(first + offset)));
  }
  const line = throughput(peer, 'enqueue_bulk', count, process.hrtime.bigint() - began);
  await producer.close();
  return line;
}

export async function enqueueSingle(peer, { databaseUrl, seconds }) {
  const limit = BigInt(Math.round(seconds() * 1e9));
  const producer = await peer.producer(databaseUrl);
  const began = process.hrtime.bigint();
  let count = 0;
  while (process.hrtime.bigint() - began < limit) await producer.addOne(payload(count++));
  const line = throughput(peer, 'enqueue_single', count, process.hrtime.bigint() - began);
  await producer.close();
  return line;
}

export async function drain(peer, { databaseUrl, jobs }) {
  const count = jobs();
  const pending = await (peer.pendingJobs ?? pendingRows(peer))(databaseUrl);
  const arrivals = expectArrivals(count);
  const cpu = process.cpuUsage();
  const worker = await peer.startWorker(databaseUrl, { onJob: arrivals.note });
  await within(DRAIN_LIMIT_MS, arrivals.all, () => `${arrivals.missing()} jobs had not started`);
  // Nobody is asked before the last handler has started, so the question costs the drain nothing.
  const durable = untilNot(pending);
  await within(DURABLE_LIMIT_MS, durable, () => 'completed jobs are still pending in the table');
  const elapsed = process.hrtime.bigint() - worker.began;
  const { user, system } = process.cpuUsage(cpu);
  await worker.stop();
  return { ...throughput(peer, 'drain', count, elapsed), worker_cpu_us_per_job: (user + system) / count };
}

export async function latency(peer, { databaseUrl, jobs }) {
  const count = jobs();
  const arrivals = expectArrivals(count);
  // A thread of its own: enqueuing shares neither event loop nor connections with the worker.
  const enqueuer = new Worker(new URL('./spaced-enqueue.mjs', import.meta.url), {
    workerData: { module: `./${peer.NAME}.mjs`, databaseUrl, count, gapMs: LATENCY_GAP_MS },
  });
  await once(enqueuer, 'message');
  const worker = await peer.startWorker(databaseUrl, { onJob: arrivals.note, notify: true });
  await sleep(SETTLE_MS);
  enqueuer.postMessage('go');
  const [committed] = await once(enqueuer, 'message');
  await within(LATENCY_LIMIT_MS, arrivals.all, () => `${arrivals.missing()} jobs had not started`);
  await worker.stop();

  // The worker may start a job before its enqueuer has read the answer: that counts as zero.
  const waitsMs = committed
    .map((at, sequence) => Math.max(0, Number(arrivals.startedAt(sequence) - at) / 1e6))
    .sort((a, b) => a - b);
  return {
    peer: peer.NAME,
    scenario: 'latency',
    jobs: count,
    p50_ms: percentile(waitsMs, 50),
    p99_ms: percentile(waitsMs, 99),
  };
}

// Remembers the first start of every job; `all` resolves with the last of them.
function expectArrivals(count) {
  const started = new Array(count);
  const { promise: all, resolve } = Promise.withResolvers();
  let missing = count;
  return {
    all,
    missing: () => missing,
    startedAt: (sequence) => started[sequence],
    note: ({ sequence }) => {
      if (sequence >= count || started[sequence] !== undefined) return;
      started[sequence] = process.hrtime.bigint();
      if (--missing === 0) resolve();
    },
  };
}

// Asks the table whether a row is left that is not completed.
function pendingRows({ PENDING_SQL }) {
  return async (databaseUrl) => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    return async () => (await client.query(PENDING_SQL)).rows[0].pending;
  };
}

async function untilNot(pending) {
  while (await pending()) await sleep(DURABLE_POLL_MS);
}

async function within(limitMs, promise, complaint) {
  const abort = new AbortController();
  const late = sleep(limitMs, undefined, { signal: abort.signal }).then(
    () => { throw new Error(`${complaint()} after ${limitMs} ms`); },
    () => {},
  );
  try {
    await Promise.race([promise, late]);
  } finally {
    abort.abort();
  }
}

function throughput(peer, scenario, jobs, nanoseconds) {
  const seconds = Number(nanoseconds) / 1e9;
  return { peer: peer.NAME, scenario, jobs, seconds, per_second: jobs / seconds };
}

// Returns the nearest-rank percentile of sorted numbers.
function percentile(sorted, percent) {
  return sorted[Math.max(1, Math.ceil((sorted.length * percent) / 100)) - 1];
}
