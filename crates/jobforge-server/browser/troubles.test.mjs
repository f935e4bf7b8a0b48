// The dashboard when there is nothing yet, when all is named by somebody who means ill, and while the database is away.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { HOSTILE, start, until } from './fleet.mjs';
import { NARROW, enter, launch, look, sideways, unreadable } from './visit.mjs';

const PAGES = ['/ui', '/ui/jobs', '/ui/workers', '/ui/queues', '/ui/tenants', '/ui/schedules', '/ui/dead', '/ui/watchdog', '/ui/alerts', '/ui/runbooks', '/ui/audit', '/ui/settings', '/ui/operations'];
/** Names that are allowed and should not be trusted. */
const NAMES = { type: `<img src=x onerror=alert(1)>.${'long'.repeat(50)}`, queue: `"><script>x</script>`, tenant_id: `'; DROP TABLE--`, tags: ['</td>', '{{7*7}}'] };

let browser;

before(async () => { browser = await launch(); }, { timeout: 60_000 });
after(() => browser?.close());

test('before the first job every page says what to do, and names that mean ill are shown as they are', { timeout: 180_000 }, async () => {
  const fleet = await start();
  try {
    const { page, complaints, context } = await enter(browser, fleet, { viewport: NARROW });
    const stranger = await (await browser.newContext({ viewport: NARROW, baseURL: fleet.url })).newPage();
    await look(stranger, '/ui/login');
    assert.ok((await sideways(stranger)) <= 0);
    assert.deepEqual(await unreadable(stranger), []);
    await stranger.context().close();
    for (const path of PAGES) {
      await look(page, path);
      assert.ok((await page.textContent('main')).trim().length > 0, path);
      assert.ok((await sideways(page)) <= 0, path);
      assert.deepEqual(await unreadable(page), [], path);
    }
    await look(page, '/ui/jobs');
    assert.match(await page.textContent('.empty'), /No jobs yet\. Put one in/);

    const refused = [];
    const asked = (job) => fleet.enqueue(job).catch((error) => { refused.push(error.message); });
    for (const [field, value] of Object.entries(NAMES)) await asked({ type: 'plain', payload: {}, delay_ms: 3600_000, [field]: value });
    for (const message of refused) assert.match(message, /: 4\d\d /, 'what is not taken is refused with a reason');
    await fleet.enqueue({ type: 'plain', payload: { text: HOSTILE }, idempotency_key: `'"><svg onload=alert(2)>`, delay_ms: 3600_000 });
    for (const path of [...PAGES, `/ui/jobs?q=${encodeURIComponent(HOSTILE)}`, `/ui/audit?q=${encodeURIComponent(HOSTILE)}`]) {
      await look(page, path);
      assert.equal(await page.locator('main script:not([src]), main img[src=x], main svg[onload], main [onerror], main [onmouseover]').count(), 0, path);
      assert.notEqual(await page.title(), 'owned', path);
      assert.ok((await sideways(page)) <= 0, path);
    }
    assert.deepEqual(complaints, []);
    await context.close();
  } finally {
    await fleet.stop();
  }
});

test('while the database is away the page says so, and comes back by itself', { timeout: 180_000 }, async () => {
  const { JOBFORGE_TEST_DATABASE_URL: shared } = process.env;
  assert.ok(shared, 'JOBFORGE_TEST_DATABASE_URL names a PostgreSQL in which a database may be made: cargo xtask ui starts one');
  const database = new URL(shared), name = `ui_${process.pid}_${Date.now()}`;
  const psql = (statement) => execFileSync('psql', ['-X', '-q', '-c', statement, shared], { stdio: ['ignore', 'ignore', 'inherit'] });
  psql(`CREATE DATABASE ${name}`);
  // What can be cut off and joined again is the way to it.
  const open = new Set();
  let away = false;
  const proxy = createServer((near) => {
    if (away) return near.destroy();
    const far = connect(Number(database.port), database.hostname);
    for (const socket of [near, far]) {
      open.add(socket);
      socket.on('error', () => {}).on('close', () => { open.delete(socket); near.destroy(); far.destroy(); });
    }
    near.pipe(far).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const through = new URL(shared);
  through.hostname = '127.0.0.1';
  through.port = String(proxy.address().port);
  through.pathname = `/${name}`;
  const straight = Object.assign(new URL(shared), { pathname: `/${name}` });
  execFileSync(process.env.JOBFORGE_BIN, ['db', 'migrate'], { env: { ...process.env, DATABASE_URL: straight.href }, stdio: ['ignore', 'ignore', 'inherit'] });
  const fleet = await start({ DATABASE_URL: through.href });
  try {
    const id = await fleet.enqueue({ type: 'plain', payload: {}, delay_ms: 3600_000 });
    const { page, context } = await enter(browser, fleet);
    await look(page, '/ui/jobs');
    await page.waitForSelector(`tr[data-id="${id}"]`);
    await page.evaluate(() => { window.neverLoadedAgain = true; });
    away = true;
    for (const socket of open) socket.destroy();
    await page.waitForSelector('#fresh.stale', { timeout: 60_000 });
    assert.ok(await page.isVisible(`tr[data-id="${id}"]`), 'what was last known stays');
    const other = await context.newPage();
    assert.equal((await other.goto('/ui/workers')).status(), 503);
    assert.match(await other.textContent('main'), /Last known/);
    await other.close();
    away = false;
    await page.waitForSelector('#fresh:not(.stale)', { timeout: 60_000 });
    const next = await until('jobs are taken again', () => fleet.enqueue({ type: 'plain', payload: {}, delay_ms: 3600_000 }));
    await page.waitForSelector(`tr[data-id="${next}"]`, { timeout: 30_000 });
    assert.ok(await page.evaluate(() => window.neverLoadedAgain));
    await context.close();
  } finally {
    await fleet.stop();
    proxy.close();
    psql(`DROP DATABASE ${name} WITH (FORCE)`);
  }
});
