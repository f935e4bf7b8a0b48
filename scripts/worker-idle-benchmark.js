#!/usr/bin/env node
"use strict";
/**
 * Counts how often an idle worker asks for work, with back-off and without.
 *
 * node scripts/worker-idle-benchmark.js --duration-ms=20000 --poll-ms=2000 --max-poll-ms=10000 --multiplier=2
 *
 * Two real workers idle beside each other before a real server: JOBFORGE_URL, or one of its own.
 */
const { counter, options, perMinute, print, server, worker } = require("./lib/measure.js");

async function claims(target, queue, duration, env) {
  let count = 0;
  let first;
  const seen = new Promise((resolve) => (first = resolve));
  const proxy = await counter(target, (path) => {
    if (path !== "/v1/worker/claim") return;
    count += 1;
    first();
  });
  const stop = worker(proxy.url, queue, env);
  await seen;
  await new Promise((resolve) => setTimeout(resolve, duration));
  const counted = count;
  await stop();
  proxy.close();
  return { claim_count: counted, claims_per_min: perMinute(counted, duration) };
}

print(async () => {
  const {
    "duration-ms": duration,
    "poll-ms": poll,
    "max-poll-ms": most,
    multiplier,
  } = options({
    "duration-ms": 60_000,
    "poll-ms": 2000,
    "max-poll-ms": 10_000,
    multiplier: 2,
  });
  const { url, stop } = await server();
  try {
    const steady = { POLL_INTERVAL_MS: poll, MAX_POLL_INTERVAL_MS: poll, IDLE_BACKOFF_MULTIPLIER: 1 };
    const backing = { POLL_INTERVAL_MS: poll, MAX_POLL_INTERVAL_MS: most, IDLE_BACKOFF_MULTIPLIER: multiplier };
    const [without, withBackoff] = await Promise.all([
      claims(url, "benchmark-steady", duration, steady),
      claims(url, "benchmark-backoff", duration, backing),
    ]);
    return { duration_ms: duration, ...withBackoff, without_backoff: without };
  } finally {
    await stop();
  }
});
