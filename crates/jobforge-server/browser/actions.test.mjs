// Every deed of the dashboard, done by its button, and secrets shown to who asks: with scripts and without, and by nobody
// who may not.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { ADMIN, OPERATOR, fill, start, until } from './fleet.mjs';
import { enter, launch, unreadable } from './visit.mjs';

const LATER = { delay_ms: 3600_000 };
/** More than an operation moves before somebody stops it. */
const MANY = 30_000;

let fleet, known, browser, hook, deeds;
const told = [];

const nothing = (more = {}) => ({ type: 'exec', payload: { argv: ['true'] }, ...more });
const doomed = (queue) => fleet.enqueue({ type: 'exec', payload: { program: 'sh', args: ['-c', `echo "${queue} broke" >&2; exit 1`] }, queue: 'reports', max_attempts: 1 });
const is = (id, ...wanted) => until(`${id} is ${wanted}`, async () => wanted.includes(await fleet.status(id)));
const gone = (id) => until(`${id} is gone`, async () => (await fleet.status(id).catch((error) => String(error))).includes('404'));
const ranTwice = (id) => until(`${id} ran again`, async () => (await fleet.call('GET', `/v1/jobs/${id}`)).attempts_made.length === 2);
/** The cause of a death is written down a moment after it. */
const cause = (id) => until('the cause is known', async () => (await fleet.call('GET', `/v1/jobs/${id}`)).dead_group);
const queue = async (name) => (await fleet.call('GET', '/v1/queues')).queues.find((queue) => queue.name === name);
const schedule = (name) => fleet.call('GET', `/v1/schedules/${name}`);
const flag = async (name) => (await fleet.call('GET', '/v1/flags')).flags.find((flag) => flag.name === name);
const alerts = async () => (await fleet.call('GET', '/v1/alerts')).alerts;
const silences = async () => (await fleet.call('GET', '/v1/alerts/silences')).silences;

before(async () => {
  hook = createServer((request, answer) => {
    request.on('data', (data) => told.push(String(data))).on('end', () => answer.end());
  }).listen(0, '127.0.0.1');
  await once(hook, 'listening');
  browser = await launch();
  fleet = await start({ JOBFORGE_ALERT_WEBHOOK_URL: `http://127.0.0.1:${hook.address().port}/hook` });
  known = await fill(fleet);
  deeds = {
    'job-retry': async () => {
      const id = await doomed('one');
      await is(id, 'dead');
      return { at: `/ui/jobs/${id}`, target: id, done: () => ranTwice(id) };
    },
    'job-cancel': async () => {
      const id = await fleet.enqueue(nothing(LATER));
      return { at: `/ui/jobs/${id}`, target: id, done: () => is(id, 'canceled') };
    },
    'job-delete': async () => {
      const id = await fleet.enqueue(nothing(LATER));
      await fleet.call('POST', `/v1/jobs/${id}/cancel`);
      return { at: `/ui/jobs/${id}`, target: id, done: () => gone(id) };
    },
    'worker-restart': async () => {
      const queue = `spare-${Date.now()}`;
      const worker = fleet.work(queue);
      const live = async () => (await fleet.call('GET', '/v1/workers')).workers.find(({ state, queues }) => state === 'live' && queues.includes(queue))?.id;
      const target = await until('it works', live);
      // Nobody supervises it, so it begins anew where it is, under another id.
      const done = async () => {
        await until('it began anew', async () => ![undefined, target].includes(await live()));
        worker.kill('SIGKILL');
      };
      return { at: '/ui/workers', target, done };
    },
    'queue-pause': async () => ({ at: '/ui/queues', target: 'mail', done: async () => assert.ok((await queue('mail')).paused_at) }),
    'queue-resume': async () => ({ at: '/ui/queues', target: 'mail', done: async () => assert.ok(!(await queue('mail')).paused_at) }),
    'schedule-run': async () => {
      const { last_job_id: last } = await schedule('nightly_report');
      return { at: '/ui/schedules', target: 'nightly_report', done: async () => assert.notEqual((await schedule('nightly_report')).last_job_id, last) };
    },
    'schedule-pause': async () => ({ at: '/ui/schedules/nightly_report', target: 'nightly_report', hours: 2, done: async () => assert.ok((await schedule('nightly_report')).paused) }),
    'schedule-resume': async () => ({ at: '/ui/schedules/nightly_report', target: 'nightly_report', done: async () => assert.ok(!(await schedule('nightly_report')).paused) }),
    'watchdog-run': async () => {
      const runs = async () => (await fleet.call('GET', '/v1/watchdog/runs?limit=200')).runs.length;
      const before = await runs();
      return { at: '/ui/watchdog', target: 'now', done: () => until('there is a run more', async () => (await runs()) > before) };
    },
    'operation-stop': async () => {
      const type = `many.${Date.now()}`;
      for (let n = 0; n < MANY; n += 1000) await fleet.call('POST', '/v1/jobs/many', { jobs: Array.from({ length: 1000 }, () => ({ type, payload: {}, ...LATER })) });
      const { id } = await fleet.call('POST', '/v1/jobs/bulk', { action: 'cancel', filter: { type }, reason: 'to be stopped' });
      return { at: `/ui/operations/${id}`, target: id, done: () => until('it was stopped', async () => (await fleet.call('GET', `/v1/operations/${id}`)).state === 'canceled') };
    },
    'flag-off': async () => ({ at: '/ui/settings', target: 'JOB_HEARTBEAT', hours: 1, done: async () => assert.equal((await flag('JOB_HEARTBEAT')).enabled, false) }),
    'flag-on': async () => ({ at: '/ui/settings', target: 'JOB_HEARTBEAT', done: async () => assert.equal((await flag('JOB_HEARTBEAT')).enabled, true) }),
    'dead-retry': async () => {
      const id = await doomed('two');
      await is(id, 'dead');
      return { at: '/ui/dead', target: await cause(id), done: () => ranTwice(id) };
    },
    'dead-discard': async () => {
      const id = await doomed('three');
      await is(id, 'dead');
      const group = await cause(id);
      const groups = async () => (await fleet.call('GET', '/v1/dead/groups')).groups;
      return { at: `/ui/dead/${group}`, target: group, done: async () => assert.ok(!(await groups()).some((one) => one.group === group)) };
    },
    'alert-silence': async () => {
      const { rule } = await until('an alert holds', async () => (await alerts()).find(({ state }) => ['pending', 'firing'].includes(state)));
      return { at: '/ui/alerts', target: rule, hours: 1, done: async () => assert.ok((await silences()).some((silence) => silence.rule === rule)) };
    },
    'silence-end': async () => {
      const { id } = (await silences()).at(0);
      return { at: '/ui/alerts', target: id, done: async () => assert.ok(!(await silences()).some((silence) => silence.id === id)) };
    },
    'channel-test': async () => {
      const before = told.length;
      return { at: '/ui/alerts', target: 'webhook', done: () => until('the channel was told', async () => told.length > before) };
    },
  };
}, { timeout: 180_000 });

after(async () => {
  await browser?.close();
  await fleet?.stop();
  hook?.close();
}, { timeout: 60_000 });

for (const scripts of [true, false]) {
  test(`every deed is done by its button ${scripts ? 'with' : 'without'} scripts`, { timeout: 180_000 }, async () => {
    const { page, complaints, context } = await enter(browser, fleet, { scripts });
    for (const [name, prepare] of Object.entries(deeds)) {
      const { at, target, hours, done } = await prepare();
      await page.goto(at);
      await page.locator(`a[href^="/ui/act/${name}/${encodeURIComponent(target)}?"]`).first().click();
      await page.waitForSelector('.ask #reason');
      if (hours) await page.fill('#hours', String(hours));
      await page.fill('#reason', 'said the browser test');
      await page.click('.ask form button');
      assert.ok(await page.textContent('[role=status]'), `${name} has a receipt`);
      await done().catch((error) => { throw new Error(`${name}: ${error.message}`, { cause: error }); });
    }
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test(`many jobs are moved by a search, and those that are ticked, ${scripts ? 'with' : 'without'} scripts`, { timeout: 120_000 }, async () => {
    const { page, complaints, context } = await enter(browser, fleet, { token: OPERATOR, scripts });
    const type = `wrong.${scripts}`;
    const ids = [];
    for (let n = 0; n < 5; n++) ids.push(await fleet.enqueue({ type, payload: {}, ...LATER }));
    await page.goto(`/ui/jobs?type=${type}`);
    for (const id of ids.slice(0, 2)) await page.check(`input[value="${id}"]`);
    await page.click('#ticked button[value=cancel]');
    assert.match(await page.textContent('h1'), /Cancel 2 jobs\?/);
    if (scripts) assert.deepEqual(await unreadable(page), []);
    await page.click('.ask form button');
    for (const id of ids.slice(0, 2)) await is(id, 'canceled');
    assert.equal(await fleet.status(ids[2]), 'queued');
    await page.goto(`/ui/jobs?type=${type}&status=queued`);
    await page.click('form[action="/ui/jobs/all"] button[value=cancel]');
    await page.waitForURL(/\/ui\/operations\//);
    await until('they are counted', async () => {
      if (!scripts) await page.reload();
      return (await page.locator('form[action$="/begin"] button').count()) > 0;
    });
    assert.match(await page.textContent('.facts'), /would be moved\s*3/);
    if (scripts) assert.deepEqual(await unreadable(page), []);
    await page.click('form[action$="/begin"] button');
    for (const id of ids) await is(id, 'canceled');
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

for (const scripts of [true, false]) {
  test(`secrets are hidden until an admin asks for them, and stay while they are read, ${scripts ? 'with' : 'without'} scripts`, { timeout: 60_000 }, async () => {
    const { page, complaints, context } = await enter(browser, fleet, { scripts });
    const secret = 'hunter22-of-the-browser-test';
    const id = await fleet.enqueue({ type: 'wrong.secret', payload: { order: 17, api_key: secret }, ...LATER });
    const shows = async () => (await page.content()).includes(secret);
    await page.goto(`/ui/jobs/${id}`);
    assert.ok(!(await shows()) && (await page.textContent('main')).includes('1 value is hidden'));
    await page.click(`a[href^="/ui/act/job-reveal/${id}?"]`);
    await page.fill('.ask #reason', 'said the browser test');
    await page.click('.ask form button');
    await page.waitForSelector('[data-still]');
    assert.ok(await shows());
    if (scripts) {
      assert.deepEqual(await unreadable(page), []);
      const refreshed = () => page.waitForResponse((answer) => answer.request().resourceType() === 'fetch' && answer.url().includes('/ui/act/job-reveal/'));
      await refreshed();
      // Whoever asks again has dealt with the answer before.
      await refreshed();
      assert.ok(await shows());
    }
    await page.click('[data-still] a');
    await page.waitForURL(`**/ui/jobs/${id}`);
    assert.ok(!(await shows()));
    assert.deepEqual(complaints, []);
    await context.close();
  });
}

test('who only looks has no button, and no address does what a button would', { timeout: 120_000 }, async () => {
  const { token } = await fleet.call('POST', '/v1/tokens', { name: 'viewer', scopes: ['read'] });
  const { page, context } = await enter(browser, fleet, { token });
  for (const path of ['/ui', '/ui/jobs', `/ui/jobs/${known.dead}`, '/ui/workers', '/ui/queues', '/ui/schedules', '/ui/schedules/nightly_report', '/ui/dead', `/ui/dead/${known.group}`, '/ui/watchdog', '/ui/alerts', '/ui/settings']) {
    const answer = await page.goto(path);
    assert.equal(answer.status(), 200, path);
    assert.equal(await page.locator('a[href^="/ui/act/"], form[action^="/ui/jobs/"]').count(), 0, path);
  }
  for (const name of [...Object.keys(deeds), 'job-reveal']) {
    const path = `/ui/act/${name}/${known.dead}`;
    assert.equal((await page.goto(path)).status(), 403, path);
    const posted = await page.evaluate(async (path) => (await fetch(path, { method: 'POST', body: new URLSearchParams({ reason: 'x' }) })).status, path);
    assert.equal(posted, 403, path);
  }
  assert.equal(await fleet.status(known.dead), 'dead');
  await context.close();
});
