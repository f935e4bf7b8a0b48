// Drives a job queue of Node through one scenario of `cargo xtask bench-peers` or `bench-workers`.
//
//   node driver.mjs <peer> <scenario> --database-url URL [--jobs N] [--seconds S]
//
// Every scenario prints one JSON line on stdout. What each of them measures is defined in ../README.md.
import { parseArgs } from 'node:util';
import * as scenarios from './scenarios.mjs';

const PEERS = ['graphile-worker', 'pg-boss', 'bullmq', 'jobforge'];
const SCENARIOS = {
  setup: scenarios.setup,
  'enqueue-bulk': scenarios.enqueueBulk,
  'enqueue-single': scenarios.enqueueSingle,
  drain: scenarios.drain,
  latency: scenarios.latency,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'database-url': { type: 'string' },
    jobs: { type: 'string' },
    seconds: { type: 'string' },
  },
});
const peer = await import(`./${choose('peer', PEERS, positionals[0])}.mjs`);
const scenario = SCENARIOS[choose('scenario', Object.keys(SCENARIOS), positionals[1])];
const databaseUrl = values['database-url'] ?? fail('--database-url is required');

const line = await scenario(peer, {
  databaseUrl,
  jobs: () => positive('jobs', values.jobs),
  seconds: () => positive('seconds', values.seconds),
});
console.log(JSON.stringify(line));
// Both libraries may leave timers and pooled connections behind; the scenario is over.
process.exit(0);

function choose(what, choices, name) {
  return choices.includes(name) ? name : fail(`${what} must be one of: ${choices.join(', ')}`);
}

function positive(option, text) {
  const number = Number(text);
  return number > 0 ? number : fail(`--${option} must be a positive number`);
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(2);
}
