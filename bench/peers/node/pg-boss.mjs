// pg-boss with the settings that make it fastest; the reasons are in ../README.md.
import { PgBoss } from 'pg-boss';
import manifest from './package.json' with { type: 'json' };

export const NAME = 'pg-boss';
export const VERSION = manifest.dependencies[NAME];

const QUEUE = 'noop';

// A completed job stays as history.
export const PENDING_SQL = `
  SELECT EXISTS (SELECT FROM pgboss.job WHERE name = '${QUEUE}' AND state < 'completed') AS pending`;

const WORK = {
  batchSize: 5000,
  burstWhenBatchFull: true,
  localConcurrency: 1,
  pollingIntervalSeconds: 0.5,
};

export async function setup(databaseUrl) {
  const boss = await start(databaseUrl);
  await boss.createQueue(QUEUE);
  await boss.stop({ graceful: false });
}

// Returns the enqueuing side. With `notify`, an enqueue wakes idle workers: that is for latency, not for bulk.
export async function producer(databaseUrl, { notify = false } = {}) {
  const boss = await start(databaseUrl);
  if (notify) await boss.updateQueue(QUEUE, { notify });
  return {
    addMany: (payloads) => boss.insert(QUEUE, payloads.map((data) => ({ data }))),
    addOne: (payload) => boss.send(QUEUE, payload),
    close: () => boss.stop({ graceful: false }),
  };
}

// Starts a worker and returns, in nanoseconds, when it began to look for jobs, and how to stop it.
export async function startWorker(databaseUrl, { onJob, notify = false }) {
  const boss = await start(databaseUrl, { useListenNotify: notify });
  const began = process.hrtime.bigint();
  await boss.work(QUEUE, WORK, async (jobs) => {
    for (const { data } of jobs) onJob(data);
  });
  return { began, stop: () => boss.stop({ graceful: true }) };
}

async function start(databaseUrl, options = {}) {
  const boss = new PgBoss({ connectionString: databaseUrl, ...options });
  boss.on('error', (error) => console.error(`pg-boss: ${error.message}`));
  return boss.start();
}
