// The enqueuing thread of the latency scenario: says it is ready, waits for a word, enqueues one job at a time
// and answers with the times at which the enqueues had returned. All threads read the same monotonic clock.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { payload } from './payload.mjs';

const { module, databaseUrl, count, gapMs } = workerData;
const peer = await import(module);
const producer = await peer.producer(databaseUrl, { notify: true });
const go = once(parentPort, 'message');
parentPort.postMessage('ready');
await go;

const committed = [];
for (let sequence = 0; sequence < count; sequence++) {
  await producer.addOne(payload(sequence));
  committed.push(process.hrtime.bigint());
  await sleep(gapMs);
}
parentPort.postMessage(committed);
await producer.close();
