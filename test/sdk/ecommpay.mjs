// What an unmodified ECommPay merchant does with npm ecommpay 0.1.7, against `aorta demo` (whose ready line is the
// argument). Prints one JSON line per scenario.

import { createRequire } from 'node:module';
import { randomBytes } from 'node:crypto';

const require = createRequire(new URL('../npm/package.json', import.meta.url));
const { Payment, Callback, signer } = require('ecommpay');

const demo = JSON.parse(process.argv[2]);
const { id: projectID, secret } = demo.project;

const scenarios = [];
const scenario = (name, body) => scenarios.push({ name, body });

function check(ok, message, got) {
  if (!ok) {
    throw new Error(got === undefined ? message : `${message}: got ${typeof got === 'string' ? got : JSON.stringify(got)}`);
  }
}

async function until(what, look, ms = 30_000) {
  const end = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (seen) {
      return seen;
    }
    if (Date.now() > end) {
      throw new Error(`${what} did not come in ${ms} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const name = (prefix) => `${prefix}-${randomBytes(6).toString('hex')}`;

// A browser without scripts: it follows redirects, keeps cookies, and presses buttons of forms.
class Customer {
  cookies = new Map();

  async go(address, form) {
    let url = new URL(address);
    let method = form ? 'POST' : 'GET';
    let body = form ? new URLSearchParams(form).toString() : undefined;
    for (let hop = 0; hop < 10; hop++) {
      const headers = { Accept: 'text/html', 'Accept-Language': 'en' };
      if (body !== undefined) {
        headers['Content-Type'] = 'application/x-www-form-urlencoded';
      }
      const jar = this.cookies.get(url.host);
      if (jar) {
        headers.Cookie = [...jar].map(([key, value]) => `${key}=${value}`).join('; ');
      }
      const response = await fetch(url, { method, headers, body, redirect: 'manual' });
      for (const cookie of response.headers.getSetCookie()) {
        const [, key, value] = /^([^=]+)=([^;]*)/.exec(cookie);
        this.cookies.set(url.host, (this.cookies.get(url.host) ?? new Map()).set(key, value));
      }
      if (response.status < 300 || response.status > 399) {
        return { url: url.href, status: response.status, html: await response.text() };
      }
      url = new URL(response.headers.get('Location'), url);
      method = 'GET';
      body = undefined;
    }
    throw new Error(`too many redirects, last to ${url.href}`);
  }

  // press submits the form that has this id, or this button's value.
  async press(page, { form: id, button }) {
    for (const [, attributes, inner] of page.html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/g)) {
      const pressed = button && new RegExp(`<button\\b[^>]*value="${button}"`).test(inner);
      if (!(id && attribute(attributes, 'id') === id) && !pressed) {
        continue;
      }
      const fields = {};
      for (const [, input] of inner.matchAll(/<input\b([^>]*)>/g)) {
        if (attribute(input, 'type') !== 'radio' || /\bchecked\b/.test(input)) {
          fields[attribute(input, 'name')] = attribute(input, 'value') ?? '';
        }
      }
      if (pressed) {
        fields.action = button;
      }
      return this.go(new URL(attribute(attributes, 'action') ?? page.url, page.url).href, fields);
    }
    throw new Error(`no form ${id ?? button} on ${page.url}:\n${page.html}`);
  }
}

function attribute(text, wanted) {
  const found = new RegExp(`\\b${wanted}="([^"]*)"`).exec(text);
  return found?.[1]
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&quot;/g, '"').replace(/&amp;/g, '&');
}

// payAtPaytm presses a button on Paytm's page and comes back.
async function payAtPaytm(customer, page, action) {
  let next = await customer.press(page, { button: action });
  if (/id="back"/.test(next.html)) {
    next = await customer.press(next, { form: 'back' });
  }
  return next;
}

async function callbacks(paymentID) {
  const response = await fetch(`${demo.sandbox}/merchant/callbacks?payment_id=${encodeURIComponent(paymentID)}`);
  check(response.ok, 'the sandbox merchant answers', response.status);
  const list = await response.json();
  for (const { body, valid_signature: valid } of list) {
    // The judge: the SDK's constructor throws on a wrong signature. It must get the bytes as they came.
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const seen = new Callback(secret, text);
    check(seen.getPaymentId().toLowerCase() === paymentID.toLowerCase(), 'the callback is about this payment', seen.getPaymentId());
    check(valid === true, 'the sandbox merchant found the signature valid too', valid);
    // One changed value must be noticed, or the verification above says nothing.
    let refused = false;
    try {
      new Callback(secret, text.replace(/"status":"[^"]*"/, '"status":"forged"'));
    } catch {
      refused = true;
    }
    check(refused, 'the SDK refuses a changed callback');
  }
  return list.map(({ body }) => (typeof body === 'string' ? JSON.parse(body) : body));
}

const callback = (paymentID, what, match) => until(`a callback: ${what}`, async () => (await callbacks(paymentID)).find(match));

function pageURL(fields) {
  const payment = new Payment(projectID, secret, {}, demo.public);
  payment.paymentId = name('page');
  payment.paymentAmount = 2500;
  payment.paymentCurrency = 'INR';
  payment.customerId = 'c-1';
  Object.assign(payment, fields);
  return { url: payment.getUrl(), id: fields?.paymentId ?? new URL(payment.getUrl()).searchParams.get('payment_id') };
}

async function gate(path, body, expected = 200) {
  body.general.project_id = projectID;
  delete body.general.signature;
  body.general.signature = signer(body, secret);
  const response = await fetch(`${demo.public}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  check(response.status === expected, `${path} answers ${expected}`, `${response.status} ${JSON.stringify(answer)}`);
  check(typeof answer.status === 'string' || answer.payment, `${path} has a status`, answer);
  return answer;
}

for (const [what, fields] of Object.entries({
  plain: {},
  'every kind of value': {
    forcePaymentMethod: 'paytm-wallet',
    paymentDescription: 'Tea & "biscuits" + भुगतान / 100% = ?',
    languageCode: 'HI',
    redirect: true,
    closeOnMissclick: false,
    customerFirstName: 'Zoë',
    customerEmail: 'zoe@shop.example',
    bestBefore: new Date(Date.now() + 3_600_000).toISOString(),
    merchantSuccessUrl: 'https://shop.example/ok?a=1&b=2',
  },
})) {
  scenario(`Payment Page: an address built by the SDK opens the form (${what})`, async () => {
    const { url } = pageURL(fields);
    const page = await new Customer().go(url);
    check(page.status === 200 && /id="pay-form"/.test(page.html), 'the form', `${page.status} ${page.html}`);
  });
  scenario(`Payment Page: one flipped character of the signature is refused (${what})`, async () => {
    const url = new URL(pageURL(fields).url);
    const signature = url.searchParams.get('signature');
    url.searchParams.set('signature', (signature[0] === 'A' ? 'B' : 'A') + signature.slice(1));
    const page = await new Customer().go(url.href);
    check(page.status === 403 && !/id="pay-form"/.test(page.html), 'refused', `${page.status} ${page.html}`);
  });
  scenario(`Payment Page: one changed value is refused (${what})`, async () => {
    const url = new URL(pageURL(fields).url);
    url.searchParams.set('payment_amount', '2501');
    const page = await new Customer().go(url.href);
    check(page.status === 403, 'refused', `${page.status} ${page.html}`);
  });
}

for (const [action, status] of Object.entries({ approve: 'success', decline: 'decline' })) {
  scenario(`Payment Page: ${action} ends in a callback that the SDK verifies`, async () => {
    const { url, id } = pageURL({});
    const customer = new Customer();
    let page = await customer.go(url);
    page = await customer.press(page, { form: 'pay-form' });
    page = await customer.press(page, { form: 'psp-form' });
    page = await payAtPaytm(customer, page, action);
    const last = await callback(id, status, (c) => c.payment.status === status);
    check(last.payment.id === id && last.operation.type === 'sale', 'the callback', last);
    check(last.payment.sum.amount === 2500 && last.payment.sum.currency === 'INR', 'the sum', last.payment.sum);
    const result = await until('the result page', async () => {
      const seen = await customer.go(page.url);
      return /data-page="result"/.test(seen.html) ? seen : null;
    });
    check(new RegExp(`data-outcome="${status}"`).test(result.html), `the page says ${status}`, result.html);
    check((await customer.go(url)).html.includes('id="pay-form"') === false, 'the same address does not offer to pay again');
  });
}

// sale takes a payment through Gate as a merchant's server and its customer do.
async function sale(amount) {
  const id = name('gate');
  const accepted = await gate('/v2/payment/wallet/paytm/sale', {
    general: { payment_id: id },
    customer: { id: '12345', ip_address: '192.0.2.10' },
    payment: { amount, currency: 'INR', description: 'Tea' },
    return_url: { success: 'https://shop.example/ok', decline: 'https://shop.example/no', return: 'https://shop.example/back' },
  });
  check(accepted.status === 'success' && typeof accepted.request_id === 'string' && accepted.payment_id === id, 'accepted', accepted);
  const { redirect_data: to } = await callback(id, 'redirect_data', (c) => c.redirect_data);
  const customer = new Customer();
  const page = await customer.go(to.url, to.method === 'POST' ? to.body : undefined);
  // Where the customer lands afterwards is the made-up shop, which is not there.
  await payAtPaytm(customer, page, 'approve').catch(() => {});
  const last = await callback(id, 'success', (c) => c.payment.status === 'success');
  check(last.operation.request_id === accepted.request_id, 'request_id in callback and answer', last.operation.request_id);
  return { id, accepted };
}

scenario('Gate: sale, status and refunds signed by the SDK; every callback verified by it', async () => {
  const { id, accepted } = await sale(35_000);
  const repeat = await gate('/v2/payment/wallet/paytm/sale', {
    general: { payment_id: id.toUpperCase() },
    customer: { id: '12345', ip_address: '192.0.2.10' },
    payment: { amount: 35_000, currency: 'INR' },
  }, 400);
  check(repeat.code === '3041', 'a repeat in other letters is known', repeat);

  const status = await gate('/v2/payment/status', { general: { payment_id: id }, destination: 'merchant' });
  check(status.payment.status === 'success' && status.operations.length === 1, 'status', status);
  new Callback(secret, JSON.stringify(status)); // the answer is signed as callbacks are
  const byRequest = { project_id: projectID, request_id: accepted.request_id };
  byRequest.signature = signer(byRequest, secret);
  const response = await fetch(`${demo.public}/v2/payment/status/request`, { method: 'POST', body: JSON.stringify(byRequest) });
  check(response.status === 200, 'status by request', `${response.status} ${await response.text()}`);

  const refund = (fields) => gate('/v2/payment/wallet/paytm/refund', { general: { payment_id: id }, payment: { description: 'part', ...fields } });
  await refund({ amount: 10_000, currency: 'INR', merchant_refund_id: 'r-1' });
  const part = await callback(id, 'a partial refund', (c) => c.operation.type === 'refund' && c.operation.status === 'success');
  check(part.payment.status === 'partially refunded' && part.operation.sum_initial.amount === 10_000, 'partial refund', part);
  check(part.payment.merchant_refund_id === 'r-1', 'merchant_refund_id', part.payment);

  await refund({ amount: 25_001, currency: 'INR', merchant_refund_id: 'r-2' });
  const over = await callback(id, 'a refund over the amount', (c) => c.operation.status === 'decline');
  check(over.operation.code === '3283' && over.payment.status === 'partially refunded', 'over-refund', over);

  await refund({});
  const rest = await callback(id, 'the refund of the rest', (c) => c.payment.status === 'refunded');
  check(rest.operation.sum_initial.amount === 25_000, 'the rest', rest.operation);
});

scenario('Gate: a wrong signature changes nothing', async () => {
  const body = { general: { project_id: projectID, payment_id: name('bad') }, customer: { id: '1', ip_address: '192.0.2.1' }, payment: { amount: 100, currency: 'INR' } };
  body.general.signature = signer(body, `${secret}x`);
  const response = await fetch(`${demo.public}/v2/payment/wallet/paytm/sale`, { method: 'POST', body: JSON.stringify(body) });
  const answer = await response.json();
  check(response.status === 400 && answer.code === '3261' && answer.status === 'error', 'refused', answer);
  const status = await gate('/v2/payment/status', { general: { payment_id: body.general.payment_id } }, 400);
  check(status.code === '3061', 'nothing is known of it', status);
});

for (const { name: title, body } of scenarios) {
  let error = '';
  try {
    await body();
  } catch (thrown) {
    error = String(thrown.stack ?? thrown);
  }
  console.log(JSON.stringify({ name: title, error }));
}
