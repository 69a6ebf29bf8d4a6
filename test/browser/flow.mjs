// Scenarios of TestFlow: the demo shop of the running binary, on every way that a customer can take.

import { DESK, PHONE, barriers, check, input, runAll, same, scenario, shot, until } from './harness.mjs';
import { confirmPage, events, inspect, order, paytmPage, resultPage, shop, stand, told } from './steps.mjs';

const SIZES = { phone: PHONE, desk: DESK };

// strangers fails when anything but the platform and the sandbox was asked for something.
function watchStrangers(context) {
  const strange = [];
  context.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== 'data:' && origin !== input.public && origin !== input.sandbox) {
      strange.push(request.url());
    }
  });
  return () => same(strange, [], 'requests to strangers');
}

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const mode of ['modal', 'iframe', 'redirect']) {
    scenario(`${mode}, ${size}: pay`, { viewport }, async (page, context) => {
      const noStrangers = watchStrangers(context);
      await page.goto(`${input.sandbox}/shop`);
      await inspect(page, page.mainFrame(), `shop ${size}`);
      await shop(page, mode);
      const path = mode === 'redirect' ? null : await order(page);
      const confirm = await confirmPage(page);
      same(confirm === page.mainFrame(), mode === 'redirect', 'the payment page is the tab itself');
      await inspect(page, confirm, `${mode} ${size} confirm`);
      await confirm.click('#pay-form button[type=submit]');
      const paytm = await paytmPage(page);
      await inspect(page, paytm, `${mode} ${size} paytm`);
      await paytm.click('button[name=action][value=approve]');
      const result = await resultPage(page, 'success');
      await inspect(page, result, `${mode} ${size} result`);
      if (path) {
        const names = await until('onPaymentSuccess', () => events(page), (n) => n.includes('onPaymentSuccess'));
        same(
          names.filter((n) => n !== 'onResize'),
          ['onLoaded', 'onPaymentSent', 'onPaymentSubmitResult', 'onRedirectIframe', 'onRedirectIframeComplete', 'onPaymentSuccess'],
          'events',
        );
        await told(context, path, 'success');
      }
      // The merchant's button leads back to the shop, out of any frame.
      await result.click('a.button');
      await page.waitForURL(/\/shop\/ok\?/);
      await barriers(page.mainFrame(), 'the shop after paying');
      const link = await page.getAttribute('a[href^="/shop/orders/"]', 'href');
      await told(context, link, 'success');
      noStrangers();
    });
  }

  scenario(`modal, ${size}: decline`, { viewport }, async (page, context) => {
    await shop(page, 'modal');
    const path = await order(page);
    await (await confirmPage(page)).click('#pay-form button[type=submit]');
    await (await paytmPage(page)).click('button[name=action][value=decline]');
    const result = await resultPage(page, 'decline');
    await inspect(page, result, `modal ${size} decline`);
    await until('onPaymentFail', () => events(page), (n) => n.includes('onPaymentFail'));
    await page.getByRole('button', { name: 'Close' }).click();
    await until('onExit', () => events(page), (n) => n.includes('onExit'));
    await told(context, path, 'decline');
  });

  scenario(`redirect, ${size}: leave Paytm, and the page neither claims a result nor offers to pay again`, { viewport }, async (page) => {
    await shop(page, 'redirect', 'lamp');
    await (await confirmPage(page)).click('#pay-form button[type=submit]');
    await (await paytmPage(page)).click('button[name=action][value=leave]');
    await page.waitForSelector('body[data-page=processing], body[data-page=result]', { timeout: 20_000 });
    await inspect(page, page.mainFrame(), `leave ${size}`);
    check((await page.locator('body[data-outcome=success], #pay-form').count()) === 0, 'success, or a second form, after leaving');
  });
}

for (const [locale, lang] of Object.entries({ 'ar-EG': 'ar', 'es-MX': 'es', 'hi-IN': 'hi', 'ru-RU': 'ru', 'de-DE': 'en' })) {
  scenario(`a browser that speaks ${locale} gets ${lang}`, { locale, viewport: PHONE }, async (page) => {
    await shop(page, 'redirect');
    const speaks = async (name) => {
      same(await page.getAttribute('html', 'lang'), lang, `${name} speaks`);
      await inspect(page, page.mainFrame(), `${lang} ${name}`);
    };
    await confirmPage(page);
    await speaks('confirm');
    await page.click('#pay-form button[type=submit]');
    await (await paytmPage(page)).click('button[name=action][value=approve]');
    await resultPage(page, 'success');
    await speaks('result');
  });
}

scenario('keyboard only: from the shop to the result and back', {}, async (page) => {
  await page.goto(`${input.sandbox}/shop`);
  const press = async (times, wanted) => {
    for (let i = 0; i < times; i++) {
      for (const frame of page.frames()) {
        // The element that has the keys is in the frame whose parent's focus is on it; inner frames come later.
        const there = await frame.evaluate((w) => document.hasFocus() && !!document.activeElement?.matches(w), wanted).catch(() => false);
        if (there) {
          return;
        }
      }
      await page.keyboard.press('Tab');
    }
    throw new Error(`Tab did not reach ${wanted} in ${times} steps`);
  };
  await press(20, '#pay-tea');
  await page.keyboard.press('Enter');
  await confirmPage(page);
  await until('onLoaded', () => events(page), (n) => n.includes('onLoaded'));
  await press(10, '#pay-form button[type=submit]');
  await page.keyboard.press('Enter');
  await paytmPage(page);
  await press(10, 'button[name=action][value=approve]');
  await page.keyboard.press('Enter');
  await resultPage(page, 'success');
  await press(10, 'button.ep-modal__close');
  await page.keyboard.press('Enter');
  await until('onExit', () => events(page), (n) => n.includes('onExit'));
});

scenario('without scripts: the plain link pays too', { js: false, viewport: PHONE }, async (page) => {
  await page.goto(`${input.sandbox}/shop`);
  await page.click('#plain-tea');
  await shot(page, 'plain confirm');
  await page.click('#pay-form button[type=submit]');
  await page.click('#psp-form button[type=submit]');
  await page.click('button[name=action][value=approve]');
  const onward = page.locator('#back button');
  await onward.or(page.locator('body[data-page]')).first().waitFor();
  if (await onward.count()) {
    await onward.click();
  }
  await page.waitForSelector('body[data-outcome=success]', { timeout: 25_000 });
  await shot(page, 'plain result');
  await page.click('a.button');
  await page.waitForURL(/\/shop\/ok\?/);
});

scenario('reloading and opening again never pays twice', {}, async (page, context) => {
  const forms = [];
  page.on('request', (request) => {
    if (request.method() === 'POST' && new URL(request.url()).pathname === '/payment') {
      forms.push(request.postData());
    }
  });
  await shop(page, 'redirect');
  const opening = await until('the opening', () => forms[0]);
  const confirm = await confirmPage(page);
  await confirm.click('#pay-form button[type=submit]');
  await (await paytmPage(page)).click('button[name=action][value=approve]');
  await resultPage(page, 'success');
  await page.reload();
  await resultPage(page, 'success');
  const result = page.url();
  // The merchant's signed form once more, as a customer's Back and Resend would send it.
  await page.goto(`${input.public}/payment?${opening}`);
  await shot(page, 'opened again');
  check((await page.locator('#pay-form').count()) === 0, 'the first page offers to pay again');
  check((await page.locator('body[data-page=error], body[data-outcome=success]').count()) === 1, 'it does not say that it is completed');
  await page.goto(result);
  await resultPage(page, 'success');
  await page.click('a.button');
  await page.waitForURL(/\/shop\/ok\?/);
  await told(context, await page.getAttribute('a[href^="/shop/orders/"]', 'href'), 'success');
});

scenario('closing before confirming leaves nothing behind', {}, async (page, context) => {
  await shop(page, 'modal');
  const path = await order(page);
  await confirmPage(page);
  await page.getByRole('button', { name: 'Close' }).click();
  await until('onDestroy', () => events(page), (n) => n.includes('onDestroy'));
  const view = await context.newPage();
  await view.goto(new URL(path, input.sandbox).href);
  same(await view.locator('li[data-status]').count(), 0, 'callbacks about a payment that was never confirmed');
});

scenario('a wrong signature is refused, on the page and through onFailLoading', { viewport: PHONE }, async (page) => {
  await page.route('**/shop/orders?**', async (route) => {
    const response = await route.fetch();
    const json = await response.json();
    json.config.signature = `A${json.config.signature.slice(1)}`;
    await route.fulfill({ json });
  });
  await shop(page, 'modal');
  const failed = await stand(page, 'the error page', () => document.body?.dataset.page === 'error');
  await inspect(page, failed, 'refused');
  await until('onFailLoading', () => events(page), (n) => n.includes('onFailLoading'));
});

scenario('the payment page answers with the headers of security.md S28', {}, async (page) => {
  const answers = [];
  page.on('response', async (response) => {
    if (response.url().startsWith(input.public) && (response.headers()['content-type'] ?? '').startsWith('text/html')) {
      answers.push([response.url(), await response.allHeaders()]);
    }
  });
  await shop(page, 'redirect');
  await (await confirmPage(page)).click('#pay-form button[type=submit]');
  await (await paytmPage(page)).click('button[name=action][value=approve]');
  await resultPage(page, 'success');
  check(answers.length >= 3, 'pages of ours seen', answers.map(([url]) => url));
  for (const [url, headers] of answers) {
    const policy = headers['content-security-policy'] ?? '';
    for (const part of ["default-src 'none'", "base-uri 'none'", "object-src 'none'", 'frame-ancestors ', 'form-action ']) {
      check(policy.includes(part), `${url} lacks ${part}`, policy);
    }
    // Only a demo may be framed by any port of this machine.
    check(!/unsafe-|\*/.test(policy.replaceAll(/ https?:\/\/(127\.0\.0\.1|localhost):\*/g, '')), `${url} has a policy with a hole`, policy);
    same(headers['x-content-type-options'], 'nosniff', `${url} nosniff`);
    same(headers['referrer-policy'], 'no-referrer', `${url} Referrer-Policy`);
    check(/no-store/.test(headers['cache-control'] ?? ''), `${url} Cache-Control`, headers['cache-control']);
    check(/payment/.test(headers['permissions-policy'] ?? ''), `${url} Permissions-Policy`, headers['permissions-policy']);
    check((headers['cross-origin-opener-policy'] ?? '') !== '', `${url} Cross-Origin-Opener-Policy`);
  }
});

await runAll();
