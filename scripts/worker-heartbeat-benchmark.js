#!/usr/bin/env node
"use strict";
/**
 * Counts the heartbeats of one long job, with back-off and without.
 *
 * node scripts/worker-heartbeat-benchmark.js --duration-ms=600000 --base-ms=30000 --max-ms=120000 --multiplier=2
 *
 * Two real workers run a job each before a real server: JOBFORGE_URL, or one of its own. It takes the time that it measures.
 */
const { counter, options, perMinute, print, sdk, server, worker } = require("./lib/measure.js");

async function heartbeats(target, queue, duration, env) {
  let count = 0;
  const proxy = await counter(target, (path, body) => {
    if (path === "/v1/worker/heartbeat" && body.jobs?.length) count += 1;
  });
  const stop = worker(proxy.url, queue, env);
  const jf = new (sdk().JobForge)({ url: target });
  const job = await jf.enqueueJob({ type: "benchmark.wait", queue, payload: { ms: duration * 2 } });
  while ((await job.get()).status !== "running") await new Promise((resolve) => setTimeout(resolve, 20));
  await new Promise((resolve) => setTimeout(resolve, duration));
  const counted = count;
  await job.cancel({ reason: "the benchmark is over" });
  await stop();
  proxy.close();
  return { heartbeat_count: counted, heartbeats_per_min: perMinute(counted, duration) };
}

print(async () => {
  const {
    "duration-ms": duration,
    "base-ms": base,
    "max-ms": most,
    multiplier,
  } = options({
    "duration-ms": 600_000,
    "base-ms": 30_000,
    "max-ms": 120_000,
    multiplier: 2,
  });
  const { url, stop } = await server();
  try {
    const steady = { HEARTBEAT_INTERVAL_MS: base, HEARTBEAT_MAX_INTERVAL_MS: base, HEARTBEAT_BACKOFF_MULTIPLIER: 1 };
    const backing = {
      HEARTBEAT_INTERVAL_MS: base,
      HEARTBEAT_MAX_INTERVAL_MS: most,
      HEARTBEAT_BACKOFF_MULTIPLIER: multiplier,
    };
    const [without, withBackoff] = await Promise.all([
      heartbeats(url, "benchmark-steady", duration, steady),
      heartbeats(url, "benchmark-backoff", duration, backing),
    ]);
    return { duration_ms: duration, ...withBackoff, without_backoff: without };
  } finally {
    await stop();
  }
});
