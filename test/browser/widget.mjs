// Scenarios of TestWidget. A shop page asks for a payment; what it asked and how comes in its address.

import { DESK, PHONE, barriers, check, fits, input, runAll, same, scenario, shot, until, within } from './harness.mjs';

let number = 0;

// open shows the shop page and presses Buy; it answers what the scenario needs to go on.
async function open(page, asked) {
  const config = {
    project_id: 200,
    payment_id: `w-${++number}`,
    payment_amount: 2500,
    payment_currency: 'INR',
    customer_id: 'c1',
    payment_description: 'Green tea, 250 g',
    signature: 'good',
    ...asked.config,
  };
  const url = new URL('/shop', input.shop);
  url.searchParams.set('asked', JSON.stringify({ ...asked, config }));
  await page.goto(url.href);
  await page.click('#buy');
  return {
    config,
    events: () => page.evaluate(() => window.events),
    names: async () => (await page.evaluate(() => window.events.map(([name]) => name))).filter((name) => name !== 'onResize'),
    sent: async () => (await page.request.get(`${input.pay}/p/${config.payment_id}/sent`)).json(),
  };
}

// inside gives the payment page's frame once it shows that screen.
async function inside(page, screen) {
  const handle = await until(`a frame showing ${screen}`, async () => {
    for (const frame of page.frames()) {
      if (frame !== page.mainFrame()) {
        try {
          const shows = frame.evaluate((s) => document.readyState === 'complete' && document.body.dataset.page === s, screen);
          if (await within(2_000, 'a look into a frame', shows)) {
            return frame;
          }
        } catch {
          // on its way to another page
        }
      }
    }
    return null;
  });
  return handle;
}

const result = (id, status) => ({ payment: { id, status } });

async function pay(page, action) {
  const confirm = await inside(page, 'confirm');
  await confirm.click('#pay-form button[type=submit]');
  await page.frameLocator('iframe').getByRole('button', { name: action }).click();
}

for (const [size, viewport] of Object.entries({ phone: PHONE, desk: DESK })) {
  for (const method of ['GET', 'POST']) {
    scenario(`modal ${size} ${method}: every step is reported once and in order`, { viewport }, async (page) => {
      const shop = await open(page, { method });
      const confirm = await inside(page, 'confirm');
      await until('loaded', shop.names, (n) => n.includes('onLoaded'));
      await shot(page, `modal-confirm-${size}`);
      await barriers(page.mainFrame(), 'the shop with the window open');
      await barriers(confirm, 'confirm');
      await fits(confirm, 'confirm');
      const box = await page.locator('.ep-modal__panel').boundingBox();
      if (size === 'phone') {
        same(box, { x: 0, y: 0, ...viewport }, 'the window on a phone');
      } else {
        check(box.width <= 480 && box.height < viewport.height, 'the window on a desk is not a window', box);
      }
      await pay(page, 'Approve');
      const done = await inside(page, 'result');
      await until('success', shop.names, (n) => n.includes('onPaymentSuccess'));
      await shot(page, `modal-result-${size}`);
      await barriers(done, 'result');
      await page.getByRole('button', { name: 'Close' }).click();
      same(
        await shop.names(),
        [
          'onLoaded', 'onPaymentSent', 'onPaymentSubmitResult', 'onRedirectIframe', 'onRedirectIframeComplete',
          'onPaymentSuccess', 'onExit',
        ],
        'events',
      );
      const events = new Map(await shop.events());
      same(events.get('onPaymentSuccess'), result(shop.config.payment_id, 'success'), 'result object');
      same(events.get('onPaymentSubmitResult'), { request_id: `req-${shop.config.payment_id}` }, 'onPaymentSubmitResult');
      same(events.get('onPaymentSent'), null, 'onPaymentSent');
      check(events.get('onLoaded').height > 200 && events.get('onLoaded').width > 200, 'onLoaded size', events.get('onLoaded'));
      check((await page.locator('dialog, iframe').count()) === 0, 'something of the window is left');
      check(await page.evaluate(() => document.activeElement.id === 'buy'), 'focus did not return to the button');
      same(await page.evaluate(() => document.documentElement.style.overflow), '', 'scrolling of the shop');

      const sent = await shop.sent();
      same(sent.method, method, 'how it was sent');
      for (const [name, value] of Object.entries(shop.config)) {
        same(sent.form[name], [String(value)], `sent ${name}`);
      }
      same(sent.form._referrer, [`${input.shop}/shop`], 'sent _referrer');
      same(sent.form.frame_mode, ['popup'], 'sent frame_mode');
      same(Object.keys(sent.form).filter((name) => name.startsWith('on')), [], 'handlers sent');
    });
  }
}

scenario('modal: Escape on the shop side ends it before the result', {}, async (page) => {
  const shop = await open(page, {});
  await page.getByRole('button', { name: 'Close' }).focus();
  await page.keyboard.press('Escape');
  await until('onDestroy', shop.names, (n) => n.includes('onDestroy'));
  check(!(await shop.names()).includes('onExit'), 'onExit before any result');
  check((await page.locator('dialog').count()) === 0, 'the window is still open');
  check(await page.evaluate(() => document.activeElement.id === 'buy'), 'focus did not return to the button');
});

scenario('modal: Escape inside the frame ends it too', {}, async (page) => {
  const shop = await open(page, {});
  const confirm = await inside(page, 'confirm');
  await confirm.focus('#pay-form button');
  await page.keyboard.press('Escape');
  await until('onDestroy', shop.names, (n) => n.includes('onDestroy'));
});

scenario('modal: keyboard only, and Tab never leaves it', {}, async (page) => {
  const shop = await open(page, { config: { test_methods: 1 } });
  const confirm = await inside(page, 'confirm');
  await until('loaded', shop.names, (n) => n.includes('onLoaded'));
  const places = new Set();
  for (let i = 0; i < 14; i++) {
    await page.keyboard.press(i < 9 ? 'Tab' : 'Shift+Tab');
    // Focus is nowhere while it goes from one process of the browser to another, so it is looked for, and not at once.
    const place = () => page.evaluate(() => document.activeElement.closest('dialog') && document.activeElement.className);
    places.add(await until('Tab stays in the window', place, (at) => at !== null));
  }
  check(places.has('ep-modal__close') && places.has('ep-iframe'), 'Tab did not reach both the button and the page', [...places]);
  await confirm.focus('input[name=method]:checked');
  await page.keyboard.press('ArrowUp');
  await until('method select', shop.names, (n) => n.includes('onPaymentMethodSelect'));
  const events = new Map(await shop.events());
  same(
    events.get('onPaymentMethodSelect'),
    { name: 'Paytm Wallet', payment_method_type: 1, payment_method_code: 'paytm-wallet' },
    'onPaymentMethodSelect',
  );
  await shot(page, 'methods by keyboard');
  await barriers(confirm, 'confirm with methods');
  await page.keyboard.press('Enter');
  const approve = page.frameLocator('iframe').getByRole('button', { name: 'Approve' });
  await approve.focus();
  await page.keyboard.press('Enter');
  await inside(page, 'result');
});

scenario('modal: a click beside it closes it only when asked', {}, async (page) => {
  let shop = await open(page, { config: { css_modal_wrap: 'mine two' } });
  await inside(page, 'confirm');
  same(await page.locator('dialog.mine.two').count(), 1, 'css_modal_wrap');
  await page.mouse.click(10, 10);
  same(await page.locator('dialog').count(), 1, 'windows after a click beside it');
  shop = await open(page, { config: { close_on_missclick: 1 } });
  await inside(page, 'confirm');
  await page.mouse.click(10, 10);
  await until('onDestroy', shop.names, (n) => n.includes('onDestroy'));
});

scenario('modal: a second run replaces the first', {}, async (page) => {
  const shop = await open(page, {});
  await inside(page, 'confirm');
  await page.evaluate(() => document.getElementById('buy').click());
  await inside(page, 'confirm');
  same(await page.locator('dialog').count(), 1, 'windows');
  same((await shop.names()).filter((n) => n === 'onDestroy').length, 1, 'onDestroy of the first');
});

scenario('iframe: fits its content, and a decline is reported', { viewport: PHONE }, async (page) => {
  const shop = await open(page, { config: { target_element: 'here', language_code: 'ru' } });
  const confirm = await inside(page, 'confirm');
  await until('loaded', shop.names, (n) => n.includes('onLoaded'));
  const height = await page.locator('#here iframe').evaluate((f) => f.offsetHeight);
  const content = await confirm.evaluate(() => document.documentElement.scrollHeight);
  check(Math.abs(height - content) <= 2, `the frame is ${height}px, its content ${content}px`);
  await barriers(confirm, 'confirm');
  await barriers(page.mainFrame(), 'the shop with the frame');
  await shot(page, 'iframe-ru');
  await pay(page, 'Decline');
  const last = await inside(page, 'result');
  await until('fail', shop.names, (n) => n.includes('onPaymentFail'));
  await shot(page, 'iframe-decline-ru');
  await until('the frame fitting the result', async () => {
    const frame = await page.locator('#here iframe').evaluate((f) => f.offsetHeight);
    return Math.abs(frame - (await last.evaluate(() => document.querySelector('.page').offsetHeight)));
  }, (off) => off <= 2, 2_000);
  same(new Map(await shop.events()).get('onPaymentFail'), result(shop.config.payment_id, 'decline'), 'result object');
  same((await shop.sent()).form.frame_mode, ['iframe'], 'frame_mode');
  check(!(await shop.names()).includes('onPaymentSuccess'), 'the forged success was believed');
});

scenario('iframe: an element that is not there is an error at once', {}, async (page) => {
  const errors = [];
  page.removeAllListeners('pageerror');
  page.on('pageerror', (error) => errors.push(error.message));
  await open(page, { config: { target_element: 'nowhere' } });
  await until('error', () => errors.length);
  check(/no element "nowhere"/.test(errors[0]), 'error', errors);
});

for (const method of ['GET', 'POST']) {
  scenario(`redirect ${method}: the page replaces the shop and leads back`, { viewport: PHONE }, async (page) => {
    await open(page, { method, config: { redirect: 1, target_element: 'here', language_code: 'hi' } });
    await page.waitForSelector('body[data-page=confirm]');
    same(await page.evaluate(() => window.parent === window), true, 'the page is the window itself');
    await barriers(page.mainFrame(), 'confirm');
    await fits(page.mainFrame(), 'confirm');
    await shot(page, `redirect-hi-${method}`);
    await page.click('#pay-form button');
    await page.getByRole('button', { name: 'Approve' }).click();
    await page.waitForSelector('body[data-page=processing]');
    await shot(page, `processing-hi-${method}`);
    await barriers(page.mainFrame(), 'processing');
    await page.waitForSelector('body[data-outcome=success]');
    await barriers(page.mainFrame(), 'result');
    await shot(page, `result-hi-${method}`);
    await page.click('a.button');
    await page.waitForURL(`${input.shop}/back`);
  });
}

scenario('redirect_on_mobile: a window at the desk, the page itself on a phone', {}, async (page, context) => {
  await open(page, { config: { redirect_on_mobile: 1 } });
  await inside(page, 'confirm');
  const phone = await context.browser().newContext({
    viewport: PHONE,
    userAgent: 'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36',
  });
  try {
    const tab = await phone.newPage();
    await open(tab, { config: { redirect_on_mobile: '1' } });
    await tab.waitForSelector('body[data-page=confirm]');
  } finally {
    await phone.close();
  }
});

scenario('without scripts: a plain form, buttons and meta refresh reach the result', { js: false, viewport: PHONE }, async (page) => {
  const url = new URL('/payment', input.pay);
  url.search = new URLSearchParams({ payment_id: 'plain', signature: 'good', payment_description: 'Tea', test_seconds: '900' }).toString();
  await page.goto(url.href);
  same(await page.textContent('.timer__clock'), '15:00', 'time left');
  await page.click('#pay-form button');
  await page.click('#psp-form button');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.waitForSelector('body[data-page=processing]');
  await page.waitForSelector('body[data-outcome=success]', { timeout: 25_000 });
  await shot(page, 'plain result');
});

scenario('bind: opens on a click of the named button', {}, async (page) => {
  const shop = await open(page, { open: 'bind', method: 'post' });
  await inside(page, 'confirm');
  same((await shop.sent()).method, 'POST', 'method in small letters');
  await page.evaluate(() => window.widget.close());
  await until('onDestroy', shop.names, (n) => n.includes('onDestroy'));
});

scenario('runEmbedded: says that there is no such form', {}, async (page) => {
  const shop = await open(page, { open: 'embedded' });
  const [, failure] = await until('onFailLoading', async () => (await shop.events())[0]);
  same(failure.message, 'Application error', 'message');
  same(failure.config.payment_id, shop.config.payment_id, 'config');
  await page.evaluate(() => window.widget.trySubmit());
});

scenario('a refused session is reported with its parameters', {}, async (page) => {
  const shop = await open(page, { config: { signature: 'bad' } });
  const frame = await inside(page, 'error');
  const [name, failure] = await until('onFailLoading', async () => (await shop.events()).find(([n]) => n === 'onFailLoading'));
  same([name, failure.message, failure.config.signature], ['onFailLoading', 'Application error', 'bad'], 'failure');
  check(!(await shop.names()).includes('onLoaded'), 'an error page counted as loaded');
  await barriers(frame, 'error');
  await shot(page, 'error in the window');
});

scenario('a host that does not answer is reported', {}, async (page) => {
  const shop = await open(page, { config: { baseUrl: 'http://127.0.0.1:1' } });
  await until('onFailLoading', shop.names, (n) => n.includes('onFailLoading'));
  same(await shop.names(), ['onFailLoading'], 'events');
});

scenario('the host: baseUrl before EP_HOST before where the script came from', {}, async (page) => {
  const asked = [];
  await page.route('**/payment**', (route) => {
    asked.push(new URL(route.request().url()).origin);
    return route.fulfill({ body: 'here' });
  });
  await open(page, {});
  await open(page, { host: 'http://ep.example' });
  await open(page, { host: 'http://ep.example', config: { baseUrl: 'http://base.example/' } });
  await until('three requests', () => asked, (a) => a.length >= 3);
  same(asked, [input.pay, 'http://ep.example', 'http://base.example'], 'hosts asked');
});

scenario('messages: only what the frame and the merchant may say is passed on', {}, async (page) => {
  await page.addInitScript(() => {
    window.heard = [];
    window.addEventListener('message', (event) => window.heard.push([event.origin, event.data]));
  });
  const shop = await open(page, {});
  const confirm = await inside(page, 'confirm');
  await until('loaded', shop.names, (n) => n.includes('onLoaded'));
  const before = await shop.names();
  await page.evaluate(() => {
    window.postMessage(JSON.stringify({ message: 'epframe.payment.success', data: { forged: true } }), '*');
    window.postMessage({ message: 'epframe.redirect', data: { url: 'http://127.0.0.1:9/' } }, '*');
    window.postMessage('{"message":"epframe.embedded_mode.check_validation","from_another_domain":true}', '*');
    window.postMessage({ message: 'epframe.embedded_mode.submit', from_another_domain: true, fields: { a: 1 } }, '*');
    window.widget.sendPostMessage({ message: 'epframe.custom', n: 7 });
  });
  const heard = await until('three messages inside', () => confirm.evaluate(() => window.heard), (h) => h.length >= 3);
  same(
    heard.map(([origin, data]) => [origin, typeof data, JSON.parse(data).message]),
    ['epframe.custom', 'epframe.embedded_mode.check_validation', 'epframe.embedded_mode.submit'].map((m) => [input.shop, 'string', m]),
    'heard inside',
  );
  // What the merchant's own listeners hear of the frame is a JSON string.
  const outside = (await page.evaluate(() => window.heard)).filter(([origin]) => origin === input.pay);
  check(outside.length > 0 && outside.every(([, data]) => typeof data === 'string' && JSON.parse(data).message.startsWith('epframe.')), 'heard outside', outside);
  same(await shop.names(), before, 'events after forged messages');
});

scenario('a handler that throws does not stop the next', {}, async (page) => {
  const errors = [];
  page.removeAllListeners('pageerror');
  page.on('pageerror', (error) => errors.push(error.message));
  const shop = await open(page, { open: 'bind' });
  await inside(page, 'confirm');
  await page.evaluate(() => window.widget.close());
  await page.evaluate(() => {
    EPayWidget.run({
      payment_id: 'throwing', signature: 'good',
      onLoaded() { throw new Error('the merchant is at fault'); },
      onDestroy() { window.events.push(['destroyed']); },
    });
  });
  await until('error', () => errors, (e) => e.includes('the merchant is at fault'));
  await page.keyboard.press('Escape');
  await until('destroyed', shop.names, (n) => n.includes('destroyed'));
});

scenario('try again: a decline is no failure while another attempt is on offer', { viewport: PHONE }, async (page) => {
  const shop = await open(page, { config: { test_again: 1 } });
  await pay(page, 'Decline');
  const first = await inside(page, 'result');
  await barriers(first, 'decline with try again');
  await shot(page, 'try again');
  check(!(await shop.names()).includes('onPaymentFail'), 'onPaymentFail while it can be tried again');
  await first.click('#again-form button');
  await page.frameLocator('iframe').getByRole('button', { name: 'Approve' }).click();
  await until('success', shop.names, (n) => n.includes('onPaymentSuccess'));
});

scenario('the time runs out: the page says so by itself', { viewport: PHONE }, async (page) => {
  const shop = await open(page, { config: { test_seconds: 2 } });
  const confirm = await inside(page, 'confirm');
  check(await confirm.evaluate(() => document.querySelector('.timer').classList.contains('timer--last')), 'the last minutes are not emphasised');
  await barriers(confirm, 'confirm in the last minutes');
  await until('time over', () => confirm.evaluate(() => document.querySelector('h1').textContent), (text) => text === 'Time is over');
  same(await confirm.locator('button, .timer').count(), 0, 'something to press is left');
  same(await confirm.locator('a.button').count(), 1, 'the way back to the shop');
  await shot(page, 'time over');
  await barriers(confirm, 'time over');
  await page.getByRole('button', { name: 'Close' }).click();
  await until('onDestroy', shop.names, (n) => n.includes('onDestroy'));
});

scenario('the time had run out before: the widget is told that nothing could start', { viewport: PHONE }, async (page) => {
  const shop = await open(page, { config: { test_seconds: 'over' } });
  const over = await inside(page, 'error');
  await barriers(over, 'time over');
  await shot(page, 'time was over');
  await until('onFailLoading', shop.names, (n) => n.includes('onFailLoading'));
});

scenario('the line is down for a while: it says so and goes on', {}, async (page) => {
  await open(page, { config: { redirect: '1', test_down: 1 } });
  await page.click('#pay-form button');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.waitForSelector('#notes:not(:empty)');
  await shot(page, 'line down');
  await barriers(page.mainFrame(), 'processing without a line');
  await page.waitForSelector('body[data-outcome=success]');
});

scenario('final redirect: iframe stays inside', {}, async (page) => {
  const shop = await open(page, { config: { redirect_success_url: `${input.shop}/back`, redirect_success_mode: 'iframe' } });
  await pay(page, 'Approve');
  await page.frameLocator('iframe').getByText('Back at the shop').waitFor();
  await until('success', shop.names, (n) => n.includes('onPaymentSuccess'));
});

scenario('final redirect: parent_page moves the shop', {}, async (page) => {
  await open(page, { config: { redirect_success_url: `${input.shop}/back?ok=1`, redirect_success_mode: 'parent_page' } });
  await pay(page, 'Approve');
  await page.waitForURL(`${input.shop}/back?ok=1`);
});

scenario('final redirect: blank_page shows the result with a button', {}, async (page, context) => {
  const shop = await open(page, { config: { redirect_fail_url: `${input.shop}/back`, redirect_fail_mode: 'blank_page' } });
  await pay(page, 'Decline');
  const frame = await inside(page, 'result');
  await until('fail', shop.names, (n) => n.includes('onPaymentFail'));
  const [tab] = await Promise.all([context.waitForEvent('page'), frame.click('a.button')]);
  await tab.waitForURL(`${input.shop}/back`);
});

for (const language_code of ['ar', 'en', 'es', 'hi', 'ru']) {
  for (const [size, viewport] of Object.entries({ phone: PHONE, desk: DESK })) {
    scenario(`dark, ${language_code}, ${size}: readable from the first screen to the last`, { viewport, colorScheme: 'dark' }, async (page) => {
      await open(page, { config: { redirect: 1, language_code, test_methods: 1, test_seconds: 200 } });
      const look = async (screen) => {
        await page.waitForSelector(`body[data-page=${screen}]`);
        await barriers(page.mainFrame(), screen);
        await fits(page.mainFrame(), screen);
        await shot(page, `dark-${language_code}-${size}-${screen}`);
      };
      await look('confirm');
      await page.click('#pay-form button');
      await page.getByRole('button', { name: 'Approve' }).click();
      await look('processing');
      await look('result');
    });
  }
}

await runAll();
