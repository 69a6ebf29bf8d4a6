// Scenarios of TestLink: Google sends a customer to the page that links their wallet.

import { DESK, PHONE, barriers, check, fits, input, runAll, same, scenario, shot, until } from './harness.mjs';

const start = (page, integration = 'main', id = '') => page.goto(`${input.public}/google/start?integration=${integration}&id=${encodeURIComponent(id)}`);

const shows = (page, name) => page.waitForSelector(`body[data-page=${name}]`);

async function look(page, js, name) {
  if (js) {
    await barriers(page.mainFrame(), name);
    await fits(page.mainFrame(), name);
  }
  await shot(page, name);
}

async function signIn(page, password = input.password) {
  await page.fill('input[name=name]', input.user);
  await page.fill('input[name=password]', password);
  await page.click('button[value=signin]');
}

const result = async (page) => {
  await page.waitForURL(`${input.public}/google/callback**`);
  return { result: await page.textContent('#result'), answer: JSON.parse(await page.textContent('#answer')) };
};

for (const [size, viewport] of Object.entries({ phone: PHONE, desk: DESK })) {
  for (const js of [true, false]) {
    const how = js ? 'with' : 'without';
    scenario(`${size}, ${how} scripts: a wallet is linked by password`, { viewport, js }, async (page, context) => {
      const strange = [];
      context.on('request', (request) => {
        const { origin, protocol } = new URL(request.url());
        if (protocol !== 'data:' && origin !== input.public) {
          strange.push(request.url());
        }
      });
      await start(page);
      await shows(page, 'signin');
      check(!page.url().includes('gsp' + 'Authentication'), 'the message is no longer in the address');
      await look(page, js, `link ${size} ${how} sign-in`);
      await signIn(page, 'wrong');
      await page.waitForSelector('#problem');
      same(await page.inputValue('input[name=name]'), input.user, 'the name is still there');
      await look(page, js, `link ${size} ${how} wrong`);
      await signIn(page);
      await shows(page, 'consent');
      await look(page, js, `link ${size} ${how} consent`);
      const session = page.url();
      await page.click('button[value=link]');
      const { result: got, answer } = await result(page);
      same(got, '100', 'gspResult');
      same(answer.authenticationResult, { success: {} }, 'the signed result');
      await page.goto(session); // as the back button does
      same((await result(page)).result, '100', 'the same answer again');
      same(strange, [], 'requests to strangers');
    });
  }

  scenario(`${size}: a passkey is added, and signs in`, { viewport }, async (page, context) => {
    const cdp = await context.newCDPSession(page);
    await cdp.send('WebAuthn.enable');
    const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    });
    await start(page);
    await shows(page, 'signin');
    await page.waitForSelector('#passkey-form:not([hidden])');
    await page.click('#passkey-form button'); // nobody has one yet
    await until('the refusal', () => page.textContent('#passkey-form .notes'));
    await look(page, true, `link ${size} no passkey`);
    await signIn(page);
    await shows(page, 'consent');
    await page.click('#passkey-form button');
    await page.waitForSelector('.notes--good');
    await look(page, true, `link ${size} passkey added`);
    same((await cdp.send('WebAuthn.getCredentials', { authenticatorId })).credentials.length, 1, 'passkeys');
    await page.click('button[value=other]');
    await shows(page, 'signin');
    await page.click('#passkey-form button');
    await shows(page, 'consent');
    await page.click('button[value=link]');
    same((await result(page)).result, '100', 'gspResult');
    await start(page); // and at the next redirect at once
    await page.click('#passkey-form button');
    await shows(page, 'consent');
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    await page.click('button[value=other]');
    await page.click('#passkey-form button');
    await until('that nobody was verified', () => page.textContent('#passkey-form .notes'));
  });

  scenario(`${size}: the operator's own login`, { viewport }, async (page) => {
    await start(page, 'own');
    await page.click('#in');
    await shows(page, 'consent');
    same(await page.locator('#passkey-form').count(), 0, 'passkeys of somebody else');
    await look(page, true, `link ${size} own login`);
    await page.click('button[value=link]');
    same((await result(page)).answer.authenticationResult, { success: {} }, 'the signed result');
  });
}

for (const [locale, lang] of Object.entries({ 'ar-EG': 'ar', 'es-MX': 'es', 'hi-IN': 'hi', 'ru-RU': 'ru', 'de-DE': 'en' })) {
  for (const colorScheme of ['light', 'dark']) {
    scenario(`a browser that speaks ${locale}, ${colorScheme}`, { locale, colorScheme, viewport: PHONE }, async (page) => {
      await start(page);
      await shows(page, 'signin');
      same(await page.getAttribute('html', 'lang'), lang, 'language');
      await look(page, true, `link ${lang} ${colorScheme} sign-in`);
      await signIn(page);
      await shows(page, 'consent');
      await look(page, true, `link ${lang} ${colorScheme} consent`);
    });
  }
}

scenario('giving up', {}, async (page) => {
  await start(page);
  await page.click('button[value=cancel]');
  const { result: got, answer } = await result(page);
  same(got, '201', 'gspResult');
  same(answer.authenticationResult, { cancelled: {} }, 'the signed result');
});

scenario('by keyboard alone', {}, async (page) => {
  await start(page);
  await shows(page, 'signin');
  await page.keyboard.press('Tab');
  await page.keyboard.type(input.user);
  await page.keyboard.press('Tab');
  await page.keyboard.type(input.password);
  await page.keyboard.press('Enter');
  await shows(page, 'consent');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  same((await result(page)).result, '100', 'gspResult');
});

scenario('what is not from Google leads nowhere', { viewport: PHONE }, async (page) => {
  const answer = await page.goto(`${input.public}/gsp/main/v1/authenticate?gspMajorVersion=1&gspAuthenticationRequest=x&gspCallbackUrl=https%3A%2F%2Fevil.example`);
  same(answer.status(), 400, 'status');
  await shows(page, 'linkerror');
  await look(page, true, 'link error');
  const session = await page.goto(`${input.public}/gsp/main/v1/authenticate/s/none`);
  same(session.status(), 404, 'status');
  await look(page, true, 'link over');
});

await runAll();
