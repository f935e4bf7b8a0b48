// A browser of somebody who looks at the dashboard.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { ADMIN } from './fleet.mjs';

/** The script that finds what some people cannot read or reach. */
export const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** As wide as a page must at least get along with (WCAG 1.4.10), which is also 1280 pixels at a zoom of 400 %. */
export const NARROW = { width: 320, height: 800 }, WIDE = { width: 1440, height: 900 };

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });

/** Logs somebody in; returns the page, and everything that the browser will complain of. */
export async function enter(browser, fleet, { token = ADMIN, viewport = WIDE, scheme = 'light', scripts = true } = {}) {
  const context = await browser.newContext({ viewport, colorScheme: scheme, javaScriptEnabled: scripts, baseURL: fleet.url });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => { if (!request.url().startsWith(fleet.url) && !request.url().startsWith('data:')) complaints.push(`asked ${request.url()}`); });
  await page.goto('/ui/login');
  await page.fill('#token', token);
  await page.click('button.primary');
  await page.waitForURL(/\/ui$/);
  return { page, complaints, context };
}

export async function look(page, path) {
  await page.goto(path, { waitUntil: 'load' });
}

/** What axe finds on a page, in words. */
export async function unreadable(page) {
  const found = await page.evaluate(`${AXE}; axe.run(document, { resultTypes: ['violations'] })`);
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary).join(' | ')}`);
}

/** How many pixels a page is wider than its window. */
export const sideways = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
