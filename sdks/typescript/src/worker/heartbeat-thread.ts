/**
 * The thread that keeps a worker alive: it renews the lease and sends the jobs' heartbeats on connections of its own, so that
 * a handler that blocks the main thread silences neither. What it finds out it tells the main thread.
 */
import { writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { elapsed } from "../clock.js";
import { line } from "../log.js";
import { Transport } from "../transport.js";
import { Heart } from "./heart.js";
import type { FromThread, ThreadData, ToThread } from "./messages.js";

/** How often it looks what is to be done. */
const TICK_MS = 250;

const { connection, clock, pulse, exitWhenLost, speaks } = workerData as ThreadData;
const turns = new Int32Array(pulse);
const transport = new Transport(connection);

const heart = new Heart({
  now: () => elapsed(clock),
  turns: () => Atomics.load(turns, 0),
  heartbeat: (body, timeoutMs) => transport.call("POST", "/v1/worker/heartbeat", body, { timeoutMs }),
  tell: (message: FromThread) => parentPort?.postMessage(message),
  cry: (message) => {
    if (speaks) writeSync(2, line("WARN", message));
  },
  lastResort: exitWhenLost ? () => process.kill(process.pid, "SIGKILL") : undefined,
});

parentPort?.on("message", (message: ToThread) => heart.told(message));
setInterval(() => heart.tick(), TICK_MS);
