// Scenarios of TestGoogle: the sandbox's Google in a demo, as a person uses it.

import { DESK, PHONE, check, input, runAll, same, scenario, shot, until } from './harness.mjs';
import { inspect } from './steps.mjs';

const google = (path = '') => `${input.sandbox}/google${path}`;

// look inspects the page that is there, for barriers and for what is too wide.
const look = (page, name) => inspect(page, page.mainFrame(), `google ${name}`);

// says is what the page says of the button that was pressed last.
const says = (page) => page.textContent('[role=status]');

const agrees = async (page, when) => same(await page.getAttribute('#agrees', 'data-agrees'), 'yes', `the books, ${when}`);

// signIn goes through Aorta's page as a customer of the demo.
async function signIn(page, who, size) {
  await page.waitForSelector('#signin-form');
  if (size) {
    await look(page, `${size} sign in`);
  }
  await page.fill('#signin-form input[name=name]', who.user);
  await page.fill('#signin-form input[name=password]', who.password);
  await page.click('#signin-form button[name=do][value=signin]');
  await page.waitForSelector('button[name=do][value=link]');
  if (size) {
    await look(page, `${size} consent`);
  }
  await page.click('button[name=do][value=link]');
  await page.waitForURL((url) => url.href.startsWith(google()));
}

for (const [size, viewport] of Object.entries({ phone: PHONE, desk: DESK })) {
  scenario(`${size}: keys fit, and each page can be used`, { viewport }, async (page) => {
    await page.goto(google());
    await look(page, `${size} wallets`);
    await page.goto(google('/wire'));
    await page.click('form[action="/google/echo"] button');
    check((await says(page)).includes('the keys fit, both ways'), 'the echo', await says(page));
    await page.click('summary');
    check((await page.textContent('pre')).includes('clientMessage'), 'the echo on the wire');
    await look(page, `${size} wire`);
    await page.goto(google('/store?user=ravi'));
    check((await page.textContent('#main')).includes('link a wallet'), 'a store without a wallet');
    await look(page, `${size} store`);
    await page.goto(google('/remittance'));
    await page.selectOption('#wrong', 'leave_out');
    await page.click('form[action="/google/period"] button');
    check((await says(page)).includes('nothing has happened'), 'a period of nothing', await says(page));
    await look(page, `${size} remittance`);
    await agrees(page, 'of nothing');
  });
}

for (const [size, viewport, user, who] of [['phone', PHONE, 'sally', 0], ['desk', DESK, 'ravi', 1]]) {
  const customer = input.customers[who];
  scenario(`${size}: link, buy, give back, refresh, remit`, { viewport }, async (page) => {
    await page.goto(google(`?user=${user}`));
    await look(page, `${size} nothing yet`);
    await page.click(`form:has(input[value=${customer.customer_id}]) button`);
    check((await says(page)).includes('₹2,000.00'), 'the wallet is filled', await says(page));
    await agrees(page, 'at first');

    const purse = async (at) => Number((await at.textContent(`[data-customer=${customer.customer_id}] strong`)).replace(/[^0-9.]/g, ''));
    const before = await purse(page);

    await page.click('form[action="/google/link"] button');
    await signIn(page, customer, size);
    check((await says(page)).startsWith('Linked: '), 'linked', await says(page));
    same(await page.locator('section[data-state=active]').first().locator('.steps li.done').count(), 8, 'steps that have happened');
    await look(page, `${size} linked`);

    await page.goto(google(`/store?user=${user}`));
    for (const [good, price] of [['album', '728.00'], ['gems', '499.00'], ['film', '199.00']]) {
      await page.selectOption('#good', good);
      await page.click('form[action="/google/buy"] button');
      check(/: bought\.$/.test(await says(page)), `buying for ${price}`, await says(page));
      await agrees(page, `after ${good}`);
    }
    await page.selectOption('#good', 'castle');
    await page.click('form[action="/google/buy"] button');
    check((await says(page)).includes('CHARGE_EXCEEDS_TRANSACTION_LIMIT'), 'the castle', await says(page));
    const album = page.locator('li[data-state=done]', { hasText: 'Album' }).first();
    await album.locator('input[name=amount]').fill('208.00');
    await album.locator('form[action="/google/refund"] button').click();
    same(await says(page), 'Refund of ₹208.00: given back.', 'the refund');
    await agrees(page, 'after the refund');
    same(await purse(page), before - 1_218, 'what has left the wallet');
    await look(page, `${size} store`);

    await page.goto(google(`?user=${user}`));
    await page.click('form[action="/google/refresh"] button');
    await signIn(page, customer);
    check((await says(page)).startsWith('Refreshed'), 'refreshed', await says(page));

    await page.goto(google('/remittance'));
    await page.click('form[action="/google/period"] button');
    check((await says(page)).includes(': received by Aorta'), 'the statement', await says(page));
    const there = () => page.getAttribute('section[data-there]', 'data-there');
    const stands = (state) => until(`that the statement is ${state}`, async () => {
      await page.goto(google('/remittance'));
      return there();
    }, (s) => s === state, 30_000);
    await stands('accepted');
    await look(page, `${size} accepted`);
    await page.click('button[value=pay]');
    await page.click('button[value=paid]');
    await stands('paid');
    await agrees(page, 'after the remittance');
    await look(page, `${size} paid`);

    await page.goto(google('/wire'));
    check((await page.locator('#main li').count()) > 10, 'what went over the wire');
    await look(page, `${size} wire`);
  });
}

// A purchase that waits is confirmed, another refused, on the customer's own page; a third waits in each language.
for (const [size, viewport, user, who] of [['narrow phone', { width: 360, height: 740 }, 'sally', 0], ['desk', DESK, 'ravi', 1]]) {
  const customer = input.customers[who].customer_id;
  for (const js of [true, false]) {
    scenario(`${size}, ${js ? 'with' : 'without'} scripts: purchases that wait for their customer`, { viewport, js }, async (page) => {
      const seen = (name) => (js ? look(page, `${size} ${name}`) : shot(page, `google ${size} plain ${name}`));
      await page.goto(google(`?user=${user}`));
      await page.click(`form[action="/google/fill"]:has(input[value=${customer}]) button`);
      await page.click('form[action="/google/link"] button');
      await signIn(page, input.customers[who]);

      const buy = async (good) => {
        await page.goto(google(`/store?user=${user}`));
        await page.selectOption('#good', good);
        await page.selectOption('#how', 'confirm');
        await page.click('form[action="/google/buy"] button');
        check((await says(page)).includes('waits for the customer'), `buying ${good}`, await says(page));
      };
      const own = () => page.click(`form[action="/google/own"]:has(input[value=${customer}]) button`);
      const newest = (state) => until(`that the newest purchase is ${state}`, async () => {
        await page.goto(google(`/store?user=${user}`));
        return page.locator('#bought + ul > li').first().getAttribute('data-state');
      }, (s) => s === state, 20_000);

      await buy('film');
      await own();
      await page.waitForSelector('[data-purchase]');
      const name = await page.getAttribute('[data-purchase]', 'data-purchase');
      check((await page.textContent('[data-purchase]')).includes('Google - Film, to rent'), 'what is bought');
      await seen('waits');
      await page.click('button[name=do][value=confirm]');
      await page.waitForSelector('[data-ended=paid]');
      same(await page.locator(`[data-purchase=${name}]`).count(), 0, 'asks for what is paid');
      await seen('confirmed');
      await page.reload();
      same(await page.locator('[data-ended=paid]').count(), 1, 'the page, loaded again');
      await page.click('.actions > a.button--second');
      await newest('done');
      await agrees(page, 'after it was confirmed');

      await buy('gems');
      await own();
      await page.click('button[name=do][value=refuse]');
      await page.waitForSelector('[data-ended=refused]');
      await seen('refused');
      await newest('declined');
      await agrees(page, 'after it was refused');

      if (!js) {
        return;
      }
      await buy('album');
      for (const language of ['ar', 'en', 'es', 'hi', 'ru']) {
        const answer = await fetch(`${input.public}/v1/customers/${customer}/page`, {
          method: 'POST', body: JSON.stringify({ language }),
          headers: { Authorization: `Bearer ${input.key}`, 'Content-Type': 'application/json', 'Idempotency-Key': `${user}-${language}` },
        });
        const { url } = await answer.json();
        await page.goto(url);
        same(await page.getAttribute('html', 'dir'), language === 'ar' ? 'rtl' : 'ltr', `the direction of ${language}`);
        await page.waitForSelector('[data-purchase]');
        await look(page, `${size} waits ${language}`);
      }
      await page.click('button[name=do][value=refuse]');
      await page.waitForSelector('[data-ended=refused]');
      await look(page, `${size} refused ru`);
    });
  }
}

await runAll();
