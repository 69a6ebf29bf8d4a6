// Scenarios of TestTryAgain: a demo whose customers may try to pay three times.

import { DESK, PHONE, input, runAll, same, scenario, shot, until } from './harness.mjs';
import { confirmPage, events, inspect, order, paytmPage, resultPage, shop, stand, told } from './steps.mjs';

const offer = (page) => stand(page, 'the offer to try again', () => document.readyState === 'complete' && !!document.querySelector('#again-form'));
const decline = async (page) => (await paytmPage(page)).click('button[name=action][value=decline]');

for (const [size, viewport] of Object.entries({ phone: PHONE, desk: DESK })) {
  scenario(`modal, ${size}: decline, and then pay`, { viewport }, async (page, context) => {
    await shop(page, 'modal');
    const path = await order(page);
    await (await confirmPage(page)).click('#pay-form button[type=submit]');
    await decline(page);
    const offered = await offer(page);
    await inspect(page, offered, `again ${size}`);
    same((await events(page)).filter((n) => n === 'onPaymentFail' || n === 'onPaymentSuccess'), [], 'outcomes told while there is an offer');
    await offered.click('#again-form button[type=submit]');
    await (await paytmPage(page)).click('button[name=action][value=approve]');
    await resultPage(page, 'success');
    const names = await until('onPaymentSuccess', () => events(page), (n) => n.includes('onPaymentSuccess'));
    same(names.filter((n) => n === 'onPaymentSent' || n === 'onPaymentFail'), ['onPaymentSent', 'onPaymentSent'], 'tries told to the shop');
    await told(context, path, 'success');
  });

  scenario(`redirect, ${size}: the third decline is the last`, { viewport }, async (page, context) => {
    await shop(page, 'redirect');
    await (await confirmPage(page)).click('#pay-form button[type=submit]');
    for (const left of [2, 1]) {
      await decline(page);
      const offered = await offer(page);
      same((await offered.textContent('#again-form p')).match(/\d+/)?.[0], String(left), 'attempts left');
      await offered.click('#again-form button[type=submit]');
    }
    await decline(page);
    await stand(page, 'the end', () => document.body?.dataset.outcome === 'decline' && !document.querySelector('#again-form'));
    await inspect(page, page.mainFrame(), `again ${size} end`);
    await page.click('a.button');
    await page.waitForURL(/\/shop\/no\?/);
    await told(context, await page.getAttribute('a[href^="/shop/orders/"]', 'href'), 'decline');
  });
}

scenario('without scripts: decline, and then pay', { js: false, viewport: PHONE }, async (page) => {
  const paytm = async (action) => {
    await page.click('#psp-form button[type=submit]');
    await page.click(`button[name=action][value=${action}]`);
    const onward = page.locator('#back button');
    await onward.or(page.locator('body[data-page]')).first().waitFor();
    if (await onward.count()) {
      await onward.click();
    }
  };
  await page.goto(`${input.sandbox}/shop`);
  await page.click('#plain-tea');
  await page.click('#pay-form button[type=submit]');
  await paytm('decline');
  await page.waitForSelector('#again-form', { timeout: 25_000 });
  await shot(page, 'again plain');
  await page.click('#again-form button[type=submit]');
  await paytm('approve');
  await page.waitForSelector('body[data-outcome=success]', { timeout: 25_000 });
});

await runAll();
