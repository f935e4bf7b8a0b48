// BullMQ on Redis; the reasons for its settings are in ../README.md. The URL is that of Redis.
import { Queue, Worker } from 'bullmq';
import manifest from './package.json' with { type: 'json' };

export const NAME = 'bullmq';
export const VERSION = manifest.dependencies[NAME];

const QUEUE = 'noop';

export async function setup() {}

export async function producer(url) {
  const queue = new Queue(QUEUE, { connection: { url } });
  return {
    addMany: (payloads) => queue.addBulk(payloads.map((data) => ({ name: QUEUE, data }))),
    addOne: (payload) => queue.add(QUEUE, payload),
    close: () => queue.close(),
  };
}

export async function startWorker(url, { onJob }) {
  const connection = { url, maxRetriesPerRequest: null };
  const handler = async ({ data }) => onJob(data);
  const worker = new Worker(QUEUE, handler, { connection, concurrency: 100, autorun: false });
  await worker.waitUntilReady();
  const began = process.hrtime.bigint();
  worker.run().catch((error) => console.error(`bullmq: ${error.message}`));
  return { began, stop: () => worker.close() };
}

export async function pendingJobs(url) {
  const queue = new Queue(QUEUE, { connection: { url } });
  return async () => (await queue.getJobCountByTypes('waiting', 'active', 'prioritized', 'delayed')) > 0;
}
