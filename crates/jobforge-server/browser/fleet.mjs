// A real server and a real worker with jobs in every state, for a browser to look at.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ADMIN = 'admin-key-of-the-browser-tests';
export const OPERATOR = 'operator-key-of-the-browser-tests';
export const HOSTILE = `</td><script>document.title='owned'</script>" onmouseover='x' \u202etxt.exe <img src=x onerror=alert(1)>`;
const PATIENCE = 60_000;

/** Waits until something is so, and returns what it came to. */
export async function until(what, look) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await look().catch(() => undefined);
    if (found) return found;
    if (Date.now() > end) throw new Error(`it did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const freePort = () => new Promise((resolve, reject) => {
  const server = createServer().once('error', reject).listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** Starts a server, on SQLite unless it is told otherwise, and what it needs to be looked at. */
export async function start(more = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'jobforge-ui-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = { ...process.env, ADMIN_TOKEN: ADMIN, AUTH_TOKEN: OPERATOR, JOBFORGE_LOG: 'warn', ...more };
  const children = new Set();
  const run = (...args) => {
    const child = spawn(process.env.JOBFORGE_BIN, [...args, '--data-dir', dir], { env, stdio: ['ignore', 'ignore', 'inherit'] });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  const server = run('serve', '--listen', `127.0.0.1:${port}`);
  const call = async (method, path, body, headers = {}) => {
    const answer = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${ADMIN}`, ...(body && { 'content-type': 'application/json' }), ...headers },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
  await until('the server is ready', async () => (await fetch(`${url}/readyz`)).ok);
  const work = (queues) => run('work', '--no-supervise', '--queues', queues, '--slots', '4', '--exec-allow', 'sh');
  const fleet = {
    url, call, server, work,
    worker: work('default,media,reports'),
    enqueue: async (job) => (await call('POST', '/v1/jobs', job)).id,
    status: async (id) => (await call('GET', `/v1/jobs/${id}`)).status,
    async stop() {
      for (const child of children) child.kill('SIGKILL');
      await until('all have ended', async () => children.size === 0);
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return fleet;
}

const hello = (more = {}) => ({ type: 'exec', payload: { argv: ['sh', '-c', 'echo hello'] }, ...more });
const sh = (script, more = {}) => ({ type: 'exec', payload: { program: 'sh', args: ['-c', script] }, ...more });

/** Puts jobs of every state in, and waits until they are there. */
export async function fill(fleet) {
  const { call, enqueue, status } = fleet;
  const known = {};
  known.running = await enqueue(sh('echo "::phase transcoding"; for i in $(seq 1 60); do echo "::progress $i frame $((i * 240)) of 14400"; sleep 1; done; sleep 600',
    { queue: 'media', tenant_id: 'acme', tags: ['nightly', 'batch-7'], priority: -5 }));
  known.second = await enqueue(sh('echo "::progress 64 thumbnails"; sleep 600', { queue: 'media', tenant_id: 'globex' }));
  known.dead = await enqueue(sh('echo "cannot read /data/in/4711.mov: Input/output error" >&2; exit 3', { queue: 'media', tenant_id: 'acme', max_attempts: 2, retry: { base_ms: 1, max_ms: 10 } }));
  for (let n = 0; n < 4; n++) await enqueue(sh(`echo "cannot read /data/in/${n}.mov: Input/output error" >&2; exit 3`, { queue: 'media', tenant_id: 'acme', max_attempts: 1 }));
  known.hostile = await enqueue(sh(`echo '${HOSTILE.replaceAll("'", "")}' >&2; exit 1`, { queue: 'reports', tenant_id: 'globex', max_attempts: 1, idempotency_key: HOSTILE.replaceAll('\u202e', '') }));
  known.retrying = await enqueue(sh('echo "upstream answered 503" >&2; exit 1', { queue: 'reports', max_attempts: 9, retry: { base_ms: 600000, max_ms: 900000 } }));
  known.succeeded = await enqueue(sh('echo "rows: 1204"; echo "::result {\\"rows\\": 1204}"', { queue: 'reports', tenant_id: 'acme' }));
  for (let n = 0; n < 6; n++) await enqueue(hello({ queue: 'reports', tenant_id: 'acme' }));
  known.scheduled = await enqueue(hello({ delay_ms: 3600_000, tenant_id: 'globex' }));
  known.canceled = await enqueue(hello({ delay_ms: 60_000 }));
  await call('POST', `/v1/jobs/${known.canceled}/cancel`, undefined, { 'x-reason': 'wrong import file' });
  for (let n = 0; n < 3; n++) await enqueue(hello({ queue: 'mail', tenant_id: 'initech' }));
  await call('POST', '/v1/queues/archive/pause', undefined, { 'x-reason': 'storage is being moved' });
  await enqueue(hello({ queue: 'archive', tenant_id: 'initech' }));
  for (const schedule of [
    hello({ name: 'hot_score_refresh', every: '1m', queue: 'reports' }),
    hello({ name: 'nightly_report', cron: '0 3 * * *', queue: 'reports' }),
    hello({ name: 'invoice_run', cron: '0 6 1 * *', queue: 'reports' }),
  ]) await call('POST', '/v1/schedules', schedule);
  await call('POST', '/v1/schedules/invoice_run/pause', { for_ms: 7200_000 }, { 'x-reason': 'tax rates change' });
  for (let n = 0; n < 3; n++) await until('the schedule ran', () => call('POST', '/v1/schedules/hot_score_refresh/run', { force: true }));
  await call('POST', '/v1/watchdog/run');
  const is = (id, wanted) => until(`${id} is ${wanted}`, async () => (await status(id)) === wanted);
  await Promise.all([is(known.running, 'running'), is(known.second, 'running'), is(known.dead, 'dead'), is(known.hostile, 'dead'), is(known.succeeded, 'succeeded')]);
  known.worker = (await call('GET', '/v1/workers')).workers.find((worker) => worker.state === 'live').id;
  known.group = (await call('GET', '/v1/dead/groups')).groups[0].group;
  return known;
}
