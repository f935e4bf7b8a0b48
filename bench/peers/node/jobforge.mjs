// JobForge's TypeScript worker over HTTP; the reasons are in ../README.md. JOBFORGE_URL and JOBFORGE_TOKEN say where.
import { JobForge } from '../../../sdks/typescript/dist/index.mjs';

export const NAME = 'jobforge';
export const VERSION = 'of this repository';

const TASK = 'noop';

// The server has prepared its database.
export async function setup() {}

export async function producer() {
  const jf = new JobForge();
  return {
    addMany: (payloads) => jf.enqueueMany(payloads.map((payload) => ({ type: TASK, payload }))),
    addOne: (payload) => jf.enqueueJob({ type: TASK, payload }),
    close: () => {},
  };
}

export async function startWorker(_, { onJob }) {
  const jf = new JobForge();
  jf.task(TASK, async (payload) => onJob(payload));
  const stopping = new AbortController();
  const began = process.hrtime.bigint();
  const worker = jf.work({ concurrency: 500, signal: stopping.signal, handleSignals: false, logger: QUIET });
  return {
    began,
    stop: () => {
      stopping.abort();
      return worker;
    },
  };
}

// Whether a job is left that has not ended, as a function to ask.
export async function pendingJobs() {
  const jf = new JobForge();
  return async () => (await jf.list({ status: ['queued', 'running'], limit: 1 })).jobs.length > 0;
}

const QUIET = { debug() {}, info() {}, warn: console.error, error: console.error };
