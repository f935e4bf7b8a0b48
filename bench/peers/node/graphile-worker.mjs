// graphile-worker with the settings that make it fastest; the reasons are in ../README.md.
import { EventEmitter, once } from 'node:events';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import manifest from './package.json' with { type: 'json' };

export const NAME = 'graphile-worker';
export const VERSION = manifest.dependencies[NAME];

// A completed job is a deleted row here.
export const PENDING_SQL = 'SELECT EXISTS (SELECT FROM graphile_worker._private_jobs) AS pending';

const TASK = 'noop';
const WORKER = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};
const logger = new Logger(() => () => {});

export async function setup(databaseUrl) {
  const utils = await makeWorkerUtils({ connectionString: databaseUrl, logger });
  await utils.migrate();
  await utils.release();
}

// Returns the enqueuing side.
export async function producer(databaseUrl) {
  const utils = await makeWorkerUtils({ connectionString: databaseUrl, logger });
  return {
    addMany: (payloads) => utils.addJobs(payloads.map((payload) => ({ identifier: TASK, payload }))),
    addOne: (payload) => utils.addJob(TASK, payload),
    close: () => utils.release(),
  };
}

// Starts a worker and returns, in nanoseconds, when it began to look for jobs, and how to stop it.
export async function startWorker(databaseUrl, { onJob }) {
  const events = new EventEmitter();
  const claiming = once(events, 'localQueue:init').then(() => process.hrtime.bigint());
  const runner = await run({
    preset: { worker: { ...WORKER, connectionString: databaseUrl } },
    logger,
    events,
    noHandleSignals: true,
    taskList: { [TASK]: async (payload) => onJob(payload) },
  });
  return { began: await claiming, stop: () => runner.stop() };
}
