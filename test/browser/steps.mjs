// What a customer does in the demo shop and on the pages behind it, for the scenarios of several tests.

import { barriers, fits, input, same, shot, until, within } from './harness.mjs';

// stand finds the window, whichever it is, that satisfies look now: the tab itself or a frame in it.
export async function stand(page, what, look) {
  return until(what, async () => {
    for (const frame of page.frames()) {
      try {
        if (await within(2_000, 'a look', frame.evaluate(look))) {
          return frame;
        }
      } catch {
        // on its way to another page
      }
    }
    return null;
  }, (frame) => frame, 20_000);
}

export const confirmPage = (page) => stand(page, 'the confirm page', () => document.readyState === 'complete' && document.body?.dataset.page === 'confirm');
export const paytmPage = (page) => stand(page, "Paytm's page", () => document.readyState === 'complete' && !!document.querySelector('button[name=action][value=approve]'));
const outcomes = {
  success: () => document.readyState === 'complete' && document.body?.dataset.outcome === 'success',
  decline: () => document.readyState === 'complete' && document.body?.dataset.outcome === 'decline',
};
export const resultPage = (page, outcome) => stand(page, `the result ${outcome}`, outcomes[outcome]);

// inspect looks at one screen as a person with and without sight would.
export async function inspect(page, frame, name) {
  await barriers(frame, name);
  await fits(frame, name);
  await shot(page, name);
}

export async function shop(page, mode, good = 'tea') {
  await page.goto(`${input.sandbox}/shop`);
  await page.check(`input[name=mode][value=${mode}]`);
  await page.click(`#pay-${good}`);
}

export const events = (page) => page.evaluate(() => [...document.querySelectorAll('#events [data-event]')].map((e) => e.dataset.event));

// order gives the link to the shop's page about the order that was just begun.
export const order = (page) => until('the order', () => page.getAttribute('#order a', 'href').catch(() => null));

// told waits until the shop's own page shows that verified callback, and that no other one contradicts it.
export async function told(context, path, status) {
  const page = await context.newPage();
  const address = new URL(path, input.sandbox).href;
  await until(`the shop being told ${status}`, async () => {
    await page.goto(address);
    return (await page.locator(`li[data-status="${status}"][data-valid="true"]`).count()) > 0;
  }, (v) => v, 20_000);
  same(await page.locator('li[data-valid="false"]').count(), 0, 'callbacks with a wrong signature');
  const finals = await page.locator('li[data-status]').evaluateAll((all) => all.map((li) => li.dataset.status));
  same([...new Set(finals.filter((s) => s === 'success' || s === 'decline'))], [status], 'final callbacks');
  await page.close();
}
