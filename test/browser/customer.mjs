// Scenarios of TestCustomer: the page of a customer of the demo's licensed house.

import { DESK, PHONE, check, input, runAll, same, scenario, shot, until } from './harness.mjs';
import { inspect } from './steps.mjs';

let asked = 0;

async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${input.key}` };
  if (body) {
    headers['Content-Type'] = 'application/json';
    headers['Idempotency-Key'] = `browser-${process.pid}-${++asked}`;
  }
  const answer = await fetch(`${input.public}/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
  return { ...(await answer.json()), http: answer.status };
}

// customer makes one who has played, and has something to be paid out.
async function customer() {
  const id = `c-${process.pid}-${++asked}`;
  const money = (amount, more = {}) => ({ amount, currency: 'EUR', customer_id: id, ...more });
  await fetch(`${input.sandbox}/control`, { method: 'POST', body: JSON.stringify({ connector: 'generic', operation: 'sale', next: 'approve' }) });
  const begun = await call('POST', 'payments/init', money('100.00', { method: 'card' }));
  check(begun.http === 200, 'a deposit', begun);
  await until('the deposit', async () => (await call('GET', `customers/${id}`)).balances?.[0]?.available, (v) => v === '100.00', 20_000);
  same((await call('POST', 'rounds/stake', money('100.00', { round_id: id, txn_id: `${id}-s` }))).http, 200, 'a stake');
  same((await call('POST', 'rounds/win', money('90.00', { round_id: id, txn_id: `${id}-w` }))).http, 200, 'a win');
  return { id, money };
}

const page = async (id, more = {}) => {
  const link = await call('POST', `customers/${id}/page`, { return_url: `${input.sandbox}/shop`, ...more });
  check(link.http === 200, 'the link', link);
  return link.url;
};

const state = (page) => page.getAttribute('li.entry', 'data-state');

for (const [size, viewport] of Object.entries({ phone: PHONE, desk: DESK })) {
  for (const js of [true, false]) {
    scenario(`${size}, ${js ? 'with' : 'without'} scripts: a payout that waits for its customer goes on`, { viewport, js }, async (browser, context) => {
      const strange = [];
      context.on('request', (request) => {
        const { origin, protocol } = new URL(request.url());
        if (protocol !== 'data:' && origin !== input.public && origin !== input.sandbox) {
          strange.push(request.url());
        }
      });
      const { id, money } = await customer();
      const url = await page(id);
      await browser.goto(url);
      await inspectPlain(browser, js, `customer ${size} with nothing`);
      same(await browser.locator('li.entry').count(), 0, 'payouts before any');
      same((await call('POST', 'payouts/init', money('80.00', { method: 'card' }))).error, 'kyc_required', 'the payout');
      await browser.goto(url);
      same(await state(browser), 'verify', 'the payout');
      await inspectPlain(browser, js, `customer ${size} verify`);
      await browser.click('button[name=do][value=verify]');
      await browser.click('li.entry a.button');
      await browser.waitForSelector('button[name=action][value=approve]');
      await browser.click('button[name=action][value=approve]');
      await browser.waitForURL(url);
      await until('that it is paid', async () => {
        await browser.goto(url);
        return state(browser);
      }, (s) => s === 'paid', 20_000);
      await inspectPlain(browser, js, `customer ${size} paid`);
      check((await browser.locator('[data-notice=payout]').count()) >= 2, 'what happened is told');
      same(await browser.locator('li.entry form').count(), 0, 'buttons of what is paid');
      const written = await browser.textContent('li.entry time');
      same(/UTC$/.test(written), !js, `the time is in the reader's own zone: ${written}`);
      await browser.click('.actions > a.button--second');
      await browser.waitForURL(`${input.sandbox}/shop`);
      same(strange, [], 'requests to strangers');
    });
  }

  scenario(`${size}: a payout is cancelled`, { viewport }, async (browser) => {
    const { id, money } = await customer();
    await call('POST', 'payouts/init', money('80.00', { method: 'card' }));
    await call('PUT', `customers/${id}/limits`, { kind: 'deposit', period: 'week', amount: '200.00', currency: 'EUR' });
    await call('POST', `customers/${id}/restrictions`, { type: 'cool_off', hours: 24 });
    const url = await page(id);
    await browser.goto(url);
    await inspect(browser, browser.mainFrame(), `customer ${size} restricted`);
    same(await browser.locator('[data-limit=deposit]').count(), 1, 'limits');
    await browser.click('button[name=do][value=cancel]');
    await browser.waitForSelector('li.entry[data-state=cancelled]');
    same(browser.url(), url, 'the page after the press');
    await inspect(browser, browser.mainFrame(), `customer ${size} cancelled`);
    same((await call('GET', `customers/${id}`)).balances[0].available, '90.00', 'what the customer has again');
  });
}

for (const [locale, lang] of Object.entries({ 'ar-EG': 'ar', 'es-MX': 'es', 'hi-IN': 'hi', 'ru-RU': 'ru', 'de-DE': 'en' })) {
  scenario(`a customer whose browser speaks ${locale} reads ${lang}`, { locale, viewport: PHONE }, async (browser) => {
    const { id, money } = await customer();
    await call('POST', 'payouts/init', money('80.00', { method: 'card' }));
    await browser.goto(await page(id));
    same(await browser.getAttribute('html', 'lang'), lang, 'language');
    await inspect(browser, browser.mainFrame(), `customer ${lang}`);
    await browser.goto(await page(id, { language: 'ru' }));
    same(await browser.getAttribute('html', 'lang'), 'ru', 'the language that the merchant has chosen');
  });
}

scenario('a link that is none', {}, async (browser) => {
  const { id } = await customer();
  const url = await page(id);
  const answer = await browser.goto(url.slice(0, -2));
  same(answer.status(), 404, 'a link that was cut');
  await inspect(browser, browser.mainFrame(), 'customer cut link');
});

// inspectPlain looks for barriers where scripts run, since the look itself is one.
async function inspectPlain(browser, js, name) {
  if (js) {
    await inspect(browser, browser.mainFrame(), name);
  } else {
    await shot(browser, name);
  }
}

await runAll();
