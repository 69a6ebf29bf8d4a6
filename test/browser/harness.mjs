// The part that every browser script shares: Debian's Chromium through playwright-core, scenarios that report one
// JSON line each, a look for barriers with axe-core, and screenshots.
//
// A script is started by the Go test of this package with its input as JSON in AORTA_BROWSER_INPUT.

import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const require = createRequire(new URL('../npm/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const input = JSON.parse(process.env.AORTA_BROWSER_INPUT ?? '{}');

export const PHONE = { width: 390, height: 844 };
export const DESK = { width: 1280, height: 800 };

// Without these Chromium calls home at every start, which a closed network refuses many times a second.
const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const scenarios = [];

// scenario registers a test: body gets a fresh browser context's page, and helpers bound to it.
// options: those of a Playwright context, and {js:false} for a browser without scripts.
export function scenario(name, options, body) {
  scenarios.push({ name, options, body });
}

export function check(ok, message, got) {
  if (!ok) {
    throw new Error(got === undefined ? message : `${message}: got ${JSON.stringify(got)}`);
  }
}

export function same(got, want, message) {
  check(JSON.stringify(got) === JSON.stringify(want), `${message}: want ${JSON.stringify(want)}`, got);
}

// until waits for a condition, and says what it last saw when it does not come.
export async function until(what, look, good = (v) => v, ms = 10_000) {
  const end = Date.now() + ms;
  let seen;
  for (;;) {
    seen = await look();
    if (good(seen)) {
      return seen;
    }
    if (Date.now() > end) {
      throw new Error(`${what} did not come in ${ms} ms; last seen ${JSON.stringify(seen)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

// barriers looks at one frame with axe-core and fails on what is serious or critical.
export async function barriers(frame, where) {
  await frame.evaluate(axeSource);
  const found = await frame.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { iframes: false, preload: false, resultTypes: ['violations'] });
    return violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .map((v) => `${v.impact} ${v.id}: ${v.nodes.map((n) => `${n.html} (${n.any.map((a) => a.message).join('; ')})`).join(' | ')}`);
  });
  check(found.length === 0, `axe-core on ${where}: ${found.join('\n')}`);
}

// fits fails when the frame scrolls sideways.
export async function fits(frame, where) {
  const over = await frame.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(over <= 0, `${where} is ${over}px wider than its window`);
}

let shots = 0;

export async function shot(page, name) {
  mkdirSync(input.screenshots, { recursive: true });
  const file = `${String(++shots).padStart(3, '0')}-${name.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '')}.png`;
  // A frame that has just grown is painted a moment later.
  await page.waitForTimeout(150);
  await page.screenshot({ path: join(input.screenshots, file) });
}

// A scenario may take this long; a browser that has stopped answering is replaced.
const LONGEST_MS = 60_000;

// On a busy machine a pressed button can move from under the pointer between aim and press: what fails twice is
// broken, what fails once is told on standard error.
const ATTEMPTS = 2;

export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function run(browser, { name, options, body }) {
  const { js = true, ...rest } = options;
  const context = await browser.newContext({ viewport: DESK, locale: 'en-US', javaScriptEnabled: js, ...rest });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(`script error: ${error.message}`));
  page.on('console', (message) => {
    // A refusal by the policy means that a page holds what its own policy forbids.
    if (message.type() === 'error' && /Content Security Policy|integrity/i.test(message.text())) {
      complaints.push(message.text());
    }
  });
  let error = '';
  try {
    await within(LONGEST_MS, 'the scenario', body(page, context));
    check(complaints.length === 0, `the browser complained: ${complaints.join('\n')}`);
  } catch (thrown) {
    error = `${thrown.stack ?? thrown}${complaints.length ? `\nbrowser: ${complaints.join('\n')}` : ''}\nat ${page.url()}`;
    await within(5_000, 'a screenshot', shot(page, `failed ${name}`)).catch(() => {});
  }
  const closed = await within(10_000, 'closing', context.close()).then(() => true, () => false);
  return { error, closed };
}

export async function runAll() {
  const launch = () => chromium.launch({ executablePath: input.chromium, args: QUIET });
  let browser = await launch();
  for (const each of scenarios) {
    const wanted = process.env.AORTA_BROWSER_ONLY;
    if (wanted && !each.name.includes(wanted)) {
      continue;
    }
    const started = Date.now();
    let error = '';
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const ended = await run(browser, each);
      error = ended.error;
      if (!ended.closed) {
        await within(10_000, 'ending the browser', browser.close()).catch(() => {});
        browser = await launch();
      }
      if (!error) {
        break;
      }
      console.error(`${each.name}, attempt ${attempt}: ${error}`);
    }
    console.log(JSON.stringify({ name: each.name, error, ms: Date.now() - started }));
  }
  await within(10_000, 'ending the browser', browser.close()).catch(() => {});
  // A browser that did not end must not keep this script from ending.
  process.exit(0);
}
