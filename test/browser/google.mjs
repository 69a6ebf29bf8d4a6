// Scenarios of TestGoogle: the sandbox's Google in a demo, as a person uses it.

import { DESK, PHONE, check, input, runAll, same, scenario } from './harness.mjs';
import { inspect } from './steps.mjs';

const google = (path = '') => `${input.sandbox}/google${path}`;

// look inspects the page that is there, for barriers and for what is too wide.
const look = (page, name) => inspect(page, page.mainFrame(), `google ${name}`);

// says is what the page says of the button that was pressed last.
const says = (page) => page.textContent('[role=status]');

const agrees = async (page, when) => same(await page.getAttribute('#agrees', 'data-agrees'), 'yes', `the books, ${when}`);

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

await runAll();
