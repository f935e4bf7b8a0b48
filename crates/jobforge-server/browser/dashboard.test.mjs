// The dashboard as a person meets it: in a browser, in both themes, wide and narrow, with scripts and without.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { OPERATOR, fill, start } from './fleet.mjs';
import { NARROW, WIDE, enter, launch, look, sideways, unreadable } from './visit.mjs';

const { SHOTS } = process.env;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

let fleet, known, browser, pages;

before(async () => {
  browser = await launch();
  fleet = await start();
  known = await fill(fleet);
  pages = {
    overview: '/ui', jobs: '/ui/jobs', 'jobs-dead': '/ui/jobs?status=dead', job: `/ui/jobs/${known.running}`, 'job-dead': `/ui/jobs/${known.dead}`,
    'job-hostile': `/ui/jobs/${known.hostile}`, workers: '/ui/workers', worker: `/ui/workers/${known.worker}`, queues: '/ui/queues', tenants: '/ui/tenants', tenant: '/ui/tenants/acme',
    schedules: '/ui/schedules', schedule: '/ui/schedules/hot_score_refresh', dead: '/ui/dead', 'dead-group': `/ui/dead/${known.group}`,
    watchdog: '/ui/watchdog', alerts: '/ui/alerts', runbooks: '/ui/runbooks', runbook: `/ui/runbooks/stuck-jobs?JOB=${known.running}`, audit: '/ui/audit', settings: '/ui/settings', operations: '/ui/operations',
    act: `/ui/act/job-cancel/${known.running}?back=/ui/jobs`, problem: '/ui/no-such-page',
  };
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await fleet?.stop();
}, { timeout: 60_000 });

const visit = (options) => enter(browser, fleet, options);

for (const scheme of ['light', 'dark']) {
  for (const [name, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
    test(`every page can be read by everybody: ${scheme}, ${name}`, { timeout: 120_000 }, async () => {
      const { page, complaints, context } = await visit({ scheme, viewport });
      for (const [what, path] of Object.entries(pages)) {
        await look(page, path);
        if (SHOTS) await page.screenshot({ path: join(SHOTS, `${what}-${scheme}-${name}.png`), fullPage: true });
        const over = await sideways(page);
        assert.ok(over <= 0, `${path} is ${over} px too wide at ${viewport.width} px`);
        assert.deepEqual(await unreadable(page), [], path);
        assert.notEqual(await page.title(), 'owned');
      }
      const real = complaints.filter((text) => !text.includes('404'));
      assert.deepEqual(real, []);
      await context.close();
    });
  }
}

test('without scripts everything is read and done by links and forms', { timeout: 60_000 }, async () => {
  const { page, context } = await visit({ token: OPERATOR, scripts: false });
  for (const path of Object.values(pages)) {
    const answer = await page.goto(path);
    assert.ok(answer.ok() || path === pages.problem, `${path}: ${answer.status()}`);
  }
  const id = await fleet.enqueue({ type: 'exec', payload: { argv: ['true'] }, delay_ms: 3600_000 });
  await page.goto(`/ui/jobs/${id}`);
  await page.click('text=Cancel …');
  assert.match(await page.textContent('h1'), /Cancel the job\?/);
  await page.fill('#reason', 'said the browser test');
  await page.click('button.danger');
  assert.match(await page.textContent('[role=status]'), /the job was canceled/);
  assert.equal(await fleet.status(id), 'canceled');
  await page.goto('/ui/jobs');
  await page.fill('#q', 'status:dead queue:media');
  await page.press('#q', 'Enter');
  assert.match(page.url(), /status=dead&queue=media/);
  await page.check(`input[value="${known.dead}"]`);
  await page.click('#ticked button[value=retry]');
  assert.match(await page.textContent('h1'), /Retry 1 job\?/);
  await page.click('text=Back, change nothing');
  assert.equal(await fleet.status(known.dead), 'dead');
  await context.close();
});

test('what happens is seen without a reload', { timeout: 60_000 }, async () => {
  const { page, complaints, context } = await visit();
  await look(page, '/ui/jobs');
  const id = await fleet.enqueue({ type: 'exec', payload: { argv: ['true'] }, delay_ms: 3600_000 });
  await page.waitForSelector(`tr[data-id="${id}"]`, { timeout: 20_000 });
  await fleet.call('POST', `/v1/jobs/${id}/cancel`);
  await page.waitForFunction((id) => document.querySelector(`tr[data-id="${id}"] .badge`)?.textContent === 'canceled', id, { timeout: 20_000 });
  assert.deepEqual(complaints, []);
  await context.close();
});

test('what is ticked or typed is left alone by what is new', { timeout: 60_000 }, async () => {
  const { page, context } = await visit();
  await look(page, '/ui/jobs');
  await page.check(`input[value="${known.scheduled}"]`);
  const id = await fleet.enqueue({ type: 'exec', payload: { argv: ['true'] }, delay_ms: 3600_000 });
  const asOf = () => page.getAttribute('#fresh', 'data-as-of');
  await page.waitForResponse((answer) => answer.url().endsWith('/ui/jobs') && answer.request().resourceType() === 'fetch');
  assert.equal(await page.locator(`tr[data-id="${id}"]`).count(), 0);
  const before = await asOf();
  await page.keyboard.press('Escape');
  // The pointer rests on the list, so that nothing moves under it until it is asked for.
  await page.keyboard.press('.');
  await page.waitForSelector(`tr[data-id="${id}"]`, { timeout: 20_000 });
  assert.notEqual(await asOf(), before);
  await context.close();
});

test('rows under the pointer keep their order until they are asked for', { timeout: 60_000 }, async () => {
  const { page, context } = await visit();
  await look(page, '/ui/jobs');
  const order = () => page.locator('main tr[data-id]').evaluateAll((rows) => rows.map((row) => row.dataset.id));
  const here = await order();
  // The same rows the other way round, as a list has them that goes by what changes.
  await page.route('**/ui/jobs', async (route) => {
    const answer = await route.fetch();
    const body = (await answer.text()).replace(/(<table[^>]* class="rows">.*?<tbody>)(.*?)(<\/tbody>)/s, (_, head, rows, foot) =>
      head + rows.split(/(?=<tr data-id)/).filter((row) => here.some((id) => row.includes(`<tr data-id="${id}"`))).reverse().join('') + foot);
    await route.fulfill({ response: answer, body });
  });
  await page.hover('main .rows tbody tr');
  await page.waitForFunction(() => !document.querySelector('#pending').hidden, null, { timeout: 20_000 });
  assert.match(await page.textContent('#pending'), /the order has changed; press \. to show/);
  assert.deepEqual(await order(), here);
  await page.keyboard.press('.');
  await page.waitForFunction((first) => document.querySelector('main tr[data-id]').dataset.id === first, here.at(-1), { timeout: 20_000 });
  await page.unrouteAll({ behavior: 'ignoreErrors' });
  await context.close();
});

test('keys go everywhere and can be switched off', { timeout: 60_000 }, async () => {
  const { page, context } = await visit();
  await page.keyboard.press('g');
  await page.keyboard.press('q');
  await page.waitForURL(/\/ui\/queues$/);
  await page.keyboard.press('/');
  await page.waitForURL(/\/ui\/jobs$/);
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'q');
  await page.keyboard.type('status:dead');
  await page.keyboard.press('Enter');
  await page.waitForURL(/status=dead/);
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  const id = await page.getAttribute('tr.here', 'data-id');
  await page.keyboard.press('R');
  await page.waitForURL(new RegExp(`/ui/act/job-retry/${id}`));
  await look(page, '/ui/jobs');
  for (const key of ['j', 'x', 'j', 'x', 'C']) await page.keyboard.press(key);
  await page.waitForURL(/\/ui\/jobs\/selected$/);
  assert.match(await page.textContent('h1'), /Cancel 2 jobs\?/);
  await look(page, '/ui/jobs?type=exec');
  await page.keyboard.press('A');
  assert.equal(await page.evaluate(() => document.activeElement.form?.getAttribute('action')), '/ui/jobs/all');
  await look(page, '/ui/schedules');
  await page.keyboard.press('j');
  await page.keyboard.press('d');
  await page.waitForURL(/\/ui\/act\/schedule-run\//);
  await look(page, '/ui/watchdog');
  await page.keyboard.press('d');
  await page.waitForURL(/\/ui\/act\/watchdog-run\//);
  await page.keyboard.press('?');
  assert.ok(await page.isVisible('#keys'));
  await page.uncheck('#keys-on');
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('q');
  assert.match(page.url(), /watchdog-run/);
  await context.close();
});

test('the palette goes everywhere by name', { timeout: 60_000 }, async () => {
  const { page, complaints, context } = await visit();
  await look(page, '/ui/jobs');
  await page.keyboard.press('Control+k');
  await page.waitForSelector('dialog.palette[open]');
  await page.keyboard.type('hot_score');
  await page.waitForFunction(() => document.querySelector('#places [aria-selected=true]')?.textContent === 'Schedule hot_score_refresh', undefined, { timeout: 20_000 });
  assert.deepEqual(await unreadable(page), []);
  if (SHOTS) await page.screenshot({ path: join(SHOTS, 'palette.png') });
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/ui\/schedules\/hot_score_refresh$/);
  await page.keyboard.press('Control+k');
  await page.waitForSelector('dialog.palette[open]');
  await page.keyboard.type(known.dead);
  await page.keyboard.press('Enter');
  await page.waitForURL(new RegExp(`/ui/jobs/${known.dead}$`));
  await page.keyboard.press('Control+k');
  await page.waitForSelector('dialog.palette[open]');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog.palette', { state: 'detached' });
  assert.match(page.url(), new RegExp(`/ui/jobs/${known.dead}$`));
  assert.deepEqual(complaints, []);
  await context.close();
});

test('the look is chosen and kept', { timeout: 60_000 }, async () => {
  const { page, context } = await visit({ scheme: 'light' });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  for (const wanted of ['light', 'dark']) {
    await page.keyboard.press('t');
    await page.waitForSelector(`html[data-theme=${wanted}]`);
  }
  assert.notEqual(await ground(), light);
  await look(page, '/ui/jobs');
  assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
  await context.close();
});

for (const minutes of [-5, 5]) {
  test(`a browser whose clock is ${minutes} min off counts by the server's`, { timeout: 60_000 }, async () => {
    const { page, complaints, context } = await visit();
    const id = await fleet.enqueue({ type: 'exec', payload: { argv: ['true'] }, delay_ms: 1800_000 });
    await page.clock.setSystemTime(Date.now() + minutes * 60_000);
    await look(page, `/ui/jobs/${id}`);
    assert.ok(Math.abs(await page.evaluate(() => Date.now()) - Date.now()) > 240_000);
    // The countdown runs by itself; a second later it says a second less, and never what the browser's clock would make of it.
    const seen = new Set();
    while (seen.size < 2) {
      const text = await page.textContent('main time[data-ahead]');
      seen.add(text);
      assert.match(text, /^in (29 min \d+ s|30 min 0 s)$/);
      await page.waitForTimeout(300);
    }
    for (const path of ['/ui', '/ui/jobs', '/ui/workers', '/ui/audit']) {
      await look(page, path);
      const told = await page.locator('main time').allTextContents();
      for (const text of told) assert.match(text, /^(in )?\d/, `${path}: ${text}`);
    }
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

test('a link in a chat leads to the page, and a form of the chat to nothing', { timeout: 60_000 }, async () => {
  const { page, context } = await visit({ token: OPERATOR });
  const id = await fleet.enqueue({ type: 'exec', payload: { argv: ['true'] }, delay_ms: 3600_000 });
  const chat = `<a href="${fleet.url}/ui/jobs?status=queued">look</a>
    <form method="post" action="${fleet.url}/ui/act/job-cancel/${id}"><button>win</button></form>`;
  await page.route('http://chat.test/', (route) => route.fulfill({ contentType: 'text/html', body: chat }));
  const asked = [];
  page.on('request', async (request) => { if (request.url().startsWith(fleet.url) && request.isNavigationRequest()) asked.push((await request.allHeaders()).cookie ?? ''); });
  await page.goto('http://chat.test/');
  await page.click('a');
  await page.waitForURL(`${fleet.url}/ui/jobs?status=queued`);
  await page.waitForSelector(`tr[data-id="${id}"]`);
  assert.doesNotMatch(asked[0], /jobforge/, 'the first request brings no cookie along');
  assert.match(asked.at(-1), /jobforge_session/);
  await page.goto('http://chat.test/');
  const [answer] = await Promise.all([page.waitForResponse(/job-cancel/), page.click('button')]);
  assert.ok([401, 403].includes(answer.status()), String(answer.status()));
  assert.equal(await fleet.status(id), 'queued');
  await context.close();
});

test('a worker that is killed turns stale without a reload', { timeout: 120_000 }, async () => {
  const { page, complaints, context } = await visit();
  await look(page, '/ui/workers');
  const row = `tr[data-id="${known.worker}"] .badge`;
  assert.equal(await page.textContent(row), 'live');
  await page.evaluate(() => { window.neverLoadedAgain = true; });
  fleet.worker.kill('SIGKILL');
  await page.waitForFunction((row) => ['suspect', 'stale', 'lost', 'dead'].includes(document.querySelector(row)?.textContent), row, { timeout: 90_000 });
  assert.ok(await page.evaluate(() => window.neverLoadedAgain));
  await page.waitForSelector('#bar.action, #bar.attention', { timeout: 20_000 });
  if (SHOTS) await page.screenshot({ path: join(SHOTS, 'workers-killed.png'), fullPage: true });
  await look(page, '/ui');
  if (SHOTS) await page.screenshot({ path: join(SHOTS, 'overview-killed.png'), fullPage: true });
  await look(page, `/ui/jobs/${known.running}`);
  if (SHOTS) await page.screenshot({ path: join(SHOTS, 'job-killed.png'), fullPage: true });
  assert.deepEqual(complaints, []);
  await context.close();
});

test('a server that is gone is told of, and what was last known stays', { timeout: 60_000 }, async () => {
  const { page, context } = await visit();
  await look(page, '/ui/jobs');
  fleet.server.kill('SIGKILL');
  await page.waitForSelector('#fresh.stale', { timeout: 40_000 });
  assert.ok((await page.locator('tr[data-id]').count()) > 0);
  await context.close();
});
