// Keeps a page fresh and gives it keys. Everything here is also there without scripts: a reload, a link, a form.
'use strict';
(() => {
  const $ = (query, from = document) => from.querySelector(query);
  const $$ = (query, from = document) => [...from.querySelectorAll(query)];
  const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const store = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private mode */ } };

  // --- Freshness ---------------------------------------------------------------------------------------------------
  const EVERY = 5000, LEAST = 1000, STALE = 15000;
  let frozen = false, asking = false, again = false, waiting = null, last = performance.now(), pending = null, hovered = false;

  const fresh = () => $('#fresh');
  const tell = () => {
    fresh()?.classList.toggle('stale', performance.now() - last > STALE);
    fresh()?.classList.toggle('frozen', frozen);
  };

  /** Whether somebody is in the midst of something that new content would disturb. */
  const busy = () => {
    const at = document.activeElement;
    const typing = at && at.closest('main') && at.matches('input:not([type=checkbox]), select, textarea');
    return typing || $('main [data-still], main input[type=checkbox]:checked') || !getSelection().isCollapsed;
  };

  const key = (node) => node.nodeType === 1 ? node.dataset.id || node.id || '' : '';
  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

  /** Makes one node what the other is, touching only what differs, so that focus and open parts stay. */
  const morph = (old, now) => {
    if (old.nodeType !== 1) { if (old.nodeValue !== now.nodeValue) old.nodeValue = now.nodeValue; return; }
    for (const { name, value } of [...now.attributes]) if (old.getAttribute(name) !== value && name !== 'open') old.setAttribute(name, value);
    for (const { name } of [...old.attributes]) if (!now.hasAttribute(name) && name !== 'open' && name !== 'class') old.removeAttribute(name);
    if (!now.hasAttribute('class')) old.removeAttribute('class');
    if (old.nodeName === 'INPUT') return;
    const byKey = new Map([...old.childNodes].filter((node) => key(node)).map((node) => [key(node), node]));
    let at = old.firstChild;
    for (const wanted of [...now.childNodes]) {
      const known = key(wanted) && byKey.get(key(wanted));
      let found = known && same(known, wanted) ? known : null;
      if (!found && at && !key(wanted) && same(at, wanted)) found = at;
      if (found) {
        if (found !== at) old.insertBefore(found, at);
        morph(found, wanted);
        at = found.nextSibling;
      } else {
        old.insertBefore(document.importNode(wanted, true), at);
      }
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  };

  const rows = (from) => $$('main tr[data-id]', from).map((row) => row.dataset.id);

  const show = (page) => {
    const here = current()?.dataset.id;
    pending = null;
    $('#pending').hidden = true;
    document.title = page.title;
    for (const id of ['bar', 'page', 'fresh']) {
      const [old, now] = [document.getElementById(id), page.getElementById(id)];
      if (old && now) morph(old, now);
    }
    if (here) $(`main tr[data-id="${CSS.escape(here)}"]`)?.classList.add('here');
    tell();
    prepare();
  };

  const refresh = async (insist = false) => {
    if (frozen && !insist) return;
    if (asking) { again = true; return; }
    asking = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: 'text/html' }, credentials: 'same-origin' });
      if (answer.redirected && !answer.url.startsWith(location.origin + location.pathname)) { location.href = answer.url; return; }
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      if (!page.getElementById('fresh')) return; // A problem; what is shown stays, and grows stale.
      if (!fresh()) { location.replace(location.href); return; } // The problem that was shown is over.
      last = performance.now();
      if (busy() && !insist) { const [a, b] = [$('#bar'), page.getElementById('bar')]; if (a && b) morph(a, b); return; }
      const [before, after] = [rows(document), rows(page)];
      // What is under the pointer must not become another row. A row that is gone from the end moves nothing.
      const moves = before.length > 0 && after.join('\n') !== before.slice(0, after.length).join('\n');
      if (hovered && moves && !insist) {
        const known = new Set(before), added = after.filter((id) => !known.has(id)).length;
        pending = page;
        $('#pending').textContent = `${added > 0 ? `${added} new` : 'the order has changed'}; press . to show`;
        $('#pending').hidden = false;
        return;
      }
      show(page);
    } catch { /* The server is away; the mark of staleness says so. */ } finally {
      asking = false;
      tell();
      if (again) { again = false; soon(); }
    }
  };

  const soon = () => { waiting ??= setTimeout(() => { waiting = null; refresh(); }, LEAST); };

  let source = null;
  const listen = () => {
    if (source || document.hidden) return;
    source = new EventSource('/ui/events');
    for (const name of ['job', 'worker', 'reset']) source.addEventListener(name, soon);
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) { source = null; setTimeout(listen, EVERY); } };
  };
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) { source?.close(); source = null; } else { listen(); refresh(); }
  });
  addEventListener('pagehide', () => { source?.close(); source = null; });
  setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
  setInterval(tell, 1000);

  // --- Times -------------------------------------------------------------------------------------------------------
  let whole = stored('jobforge-times') === 'whole';
  const words = (ms) => {
    const s = Math.round(ms / 1000);
    return s < 120 ? `${s} s` : s < 7200 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  };
  const skew = () => Date.parse($('#fresh')?.querySelector('time')?.dateTime || '') || Date.now();
  let clock = { server: skew(), here: performance.now() };
  const times = () => {
    const now = clock.server + performance.now() - clock.here;
    for (const time of $$('main time')) {
      time.dataset.said ??= time.textContent;
      if (whole) time.textContent = time.dateTime.replace('T', ' ');
      else if ('ahead' in time.dataset) { const left = Date.parse(time.dateTime) - now; time.textContent = left > 0 ? `in ${words(left)}` : 'any moment'; }
      else time.textContent = time.dataset.said;
    }
  };
  setInterval(times, 1000);

  // --- Copying -----------------------------------------------------------------------------------------------------
  const copy = async (text, button) => {
    try { await navigator.clipboard.writeText(text); } catch { return; }
    if (button) { button.textContent = 'Copied'; setTimeout(() => { button.textContent = 'Copy'; }, 1500); }
  };

  /** What the page has only with scripts. Called again after each refresh. */
  const prepare = () => {
    clock = { server: skew(), here: performance.now() };
    for (const time of $$('main time')) delete time.dataset.said;
    times();
    for (const title of $$('.copies h2')) {
      if ($('button', title)) continue;
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'small quiet';
      button.textContent = 'Copy';
      button.addEventListener('click', () => copy(title.nextElementSibling.textContent, button));
      title.append(button);
    }
    const all = $('#all');
    if (all) all.hidden = false;
    const open = $('#keys-open');
    if (open) open.hidden = false;
  };

  // --- The command that does the same as a form -------------------------------------------------------------------
  const quote = (text) => (/^[A-Za-z0-9\-_./:=,@+%]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  document.addEventListener('input', (event) => {
    const same = $('#same');
    if (!same || !event.target.matches('#hours, #reason')) return;
    const [hours, reason] = ['#hours', '#reason'].map((field) => $(field)?.value.trim() || '');
    const [time, why] = [hours ? `${hours}h` : same.dataset.time, reason || same.dataset.reason || ''];
    same.textContent = same.dataset.bare + (time ? ` --for ${time}` : '') + (why ? ` ${same.dataset.why} ${quote(why)}` : '');
  });

  const tick = (on) => { for (const box of $$('main input[name=job]')) box.checked = on; };
  document.addEventListener('change', (event) => { if (event.target.id === 'all') tick(event.target.checked); });
  document.addEventListener('pointerover', (event) => { hovered = !!event.target.closest?.('tbody'); });
  document.addEventListener('pointerout', (event) => { if (!event.relatedTarget) hovered = false; });
  document.addEventListener('click', (event) => {
    for (const menu of $$('.copy[open]')) if (!menu.contains(event.target)) menu.open = false;
  });

  // --- Keys --------------------------------------------------------------------------------------------------------
  let going = false;
  const current = () => $('main tr.here');
  const step = (by) => {
    const all = $$('main .rows tr[data-id]');
    if (all.length === 0) return;
    const next = all[Math.max(0, Math.min(all.length - 1, all.indexOf(current()) + by))] || all[0];
    current()?.classList.remove('here');
    next.classList.add('here');
    next.scrollIntoView({ block: 'nearest' });
    $('a', next)?.focus({ preventScroll: true });
  };
  const press = (query) => $(query)?.click();
  const deed = (name) => {
    const id = current()?.dataset.id;
    const link = $(`a[data-deed="${name}"]`);
    const ticked = $('main input[name=job]:checked') && $(`#ticked button[value="${name.replace('job-', '')}"]`);
    if (ticked) ticked.click();
    else if (link) link.click();
    else if (id && location.pathname === '/ui/jobs') location.href = `/ui/act/${name}/${encodeURIComponent(id)}?back=${encodeURIComponent('/ui/jobs' + location.search)}`;
  };
  const keys = {
    '?': () => $('#keys').showModal(),
    '/': () => { if ($('#q')) { $('#q').focus(); $('#q').select(); } else location.href = '/ui/jobs'; },
    'g': () => { going = true; setTimeout(() => { going = false; }, 1500); },
    'j': () => step(1), 'k': () => step(-1),
    'x': () => { const box = current() && $('input[name=job]', current()); if (box) box.checked = !box.checked; },
    'a': () => tick(!$('main input[name=job]:checked')),
    'Enter': () => { if (document.activeElement === document.body) $('a', current())?.click(); else return false; },
    '[': () => press('[data-key="["]'), ']': () => press('[data-key="]"]'),
    '.': () => (pending ? show(pending) : refresh(true)),
    'r': () => { frozen = !frozen; tell(); if (!frozen) refresh(); },
    'z': () => { whole = !whole; store('jobforge-times', whole ? 'whole' : 'relative'); times(); },
    't': () => press('[data-key="t"]'),
    'y': () => copy(location.href),
    'c': () => copy($('[data-copy]')?.dataset.copy || current()?.dataset.id || ''),
    'R': () => deed('job-retry'), 'C': () => deed('job-cancel'),
    'd': () => ((current() && $('a[href^="/ui/act/"]', current())) || $('main .buttons a[href^="/ui/act/"]'))?.click(),
    'A': () => { const all = $('form[action="/ui/jobs/all"] button'); all?.focus(); all?.scrollIntoView({ block: 'nearest' }); },
    'Escape': () => { for (const menu of $$('.copy[open]')) menu.open = false; tick(false); current()?.classList.remove('here'); document.activeElement?.blur?.(); },
  };
  // --- Palette -----------------------------------------------------------------------------------------------------
  /** Goes by name to what the menu has, to queues, types and schedules, and to a job by its id. */
  const palette = async () => {
    if ($('dialog[open]') || !$('.menu')) return;
    const make = (name, attributes) => { const made = document.createElement(name); for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value); return made; };
    const box = make('dialog', { class: 'palette', 'aria-label': 'Go to' });
    const field = make('input', { role: 'combobox', 'aria-label': 'Go to', 'aria-expanded': 'true', 'aria-controls': 'places', 'aria-autocomplete': 'list', autocomplete: 'off', spellcheck: 'false', placeholder: 'a page, queue, type, schedule, or the id of a job' });
    const list = make('ul', { id: 'places', role: 'listbox', 'aria-label': 'Places' });
    let all = $$('.menu a').map((link) => ({ name: link.textContent, path: link.getAttribute('href') })), at = 0;
    const mark = (to) => {
      const shown = [...list.children];
      at = Math.max(0, Math.min(shown.length - 1, to));
      shown.forEach((item, place) => item.setAttribute('aria-selected', String(place === at)));
      field.setAttribute('aria-activedescendant', shown[at]?.id || '');
      shown[at]?.scrollIntoView({ block: 'nearest' });
    };
    const go = () => { const path = list.children[at]?.dataset.path; if (path) location.href = path; };
    const fill = () => {
      const typed = field.value.trim(), words = typed.toLowerCase().split(/\s+/);
      const found = all.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word))).slice(0, 12);
      if (/^[0-9a-f-]{36}$/i.test(typed)) found.unshift({ name: `Job ${typed}`, path: `/ui/jobs/${typed}` });
      else if (typed) found.push({ name: `Search jobs for “${typed}”`, path: `/ui/jobs?q=${encodeURIComponent(typed)}` });
      list.replaceChildren(...found.map(({ name, path }, place) => {
        const item = make('li', { role: 'option', id: `place-${place}`, 'data-path': path });
        item.textContent = name;
        item.addEventListener('click', () => { at = place; go(); });
        return item;
      }));
      mark(0);
    };
    field.addEventListener('input', fill);
    field.addEventListener('keydown', (event) => {
      const act = { ArrowDown: () => mark(at + 1), ArrowUp: () => mark(at - 1), Enter: go }[event.key];
      if (act && !event.isComposing) { event.preventDefault(); act(); }
    });
    box.addEventListener('close', () => box.remove());
    box.append(field, list);
    document.body.append(box);
    fill();
    box.showModal();
    try {
      const answer = await fetch('/ui/names', { credentials: 'same-origin' });
      if (answer.ok) { all = all.concat(await answer.json()); fill(); }
    } catch { /* The menu is there all the same. */ }
  };
  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'k') { event.preventDefault(); palette(); }
  });

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $('dialog[open]')) return;
    const typing = event.target.matches?.('input:not([type=checkbox]), textarea, select');
    if (typing) { if (event.key === 'Escape') event.target.blur(); return; }
    if (stored('jobforge-keys') === 'off') return;
    if (going) {
      going = false;
      const link = $(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const act = Object.hasOwn(keys, event.key) && keys[event.key];
    if (act && act() !== false) event.preventDefault();
  });
  $('#keys-open')?.addEventListener('click', () => $('#keys').showModal());
  const on = $('#keys-on');
  if (on) {
    on.checked = stored('jobforge-keys') !== 'off';
    on.addEventListener('change', () => store('jobforge-keys', on.checked ? 'on' : 'off'));
  }

  // A receipt is told once: the address goes back to the page's own.
  if ($('.receipt')) {
    const url = new URL(location.href);
    for (const name of ['done', 'to', 'count']) url.searchParams.delete(name);
    history.replaceState(null, '', url);
  }

  prepare();
  if ($('#page') && $('#fresh')) listen();
})();
