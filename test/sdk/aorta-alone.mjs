// Our own TypeScript client by itself: what it sends, repeats and believes. The network is a function here and pauses
// take no time, so each scenario says exactly what was waited for. Prints one JSON line {name, error} for each scenario.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';

import { Aorta, AortaError, ConnectionError, NotGenuineError, Receiver } from '../../clients/typescript/dist/aorta.js';

const realTimeout = globalThis.setTimeout;
let pauses = [];
globalThis.setTimeout = (f, ms, ...rest) => {
  pauses.push(ms);
  return realTimeout(f, 0, ...rest);
};

const ok = { payment_id: 'pay_1', status: 'pending' };
const refusal = (error, details = {}) => JSON.stringify({ error, message: 'No.', trace_id: '0'.repeat(32), details });
const says = (status, body, headers) => () => new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers });
const lost = () => {
  throw new TypeError('fetch failed');
};
const half = () =>
  new Response(
    new ReadableStream({
      start(c) {
        c.enqueue(new TextEncoder().encode('{"payment_id":"pay_'));
        c.error(new Error('terminated'));
      },
    }),
  );

// client gives a client, and what it sends; the last answer repeats.
function client(answers, options = {}) {
  const sent = [];
  const fetch = async (address, init) => {
    sent.push({ address, method: init.method, key: init.headers.get('idempotency-key'), headers: init.headers, body: init.body, init });
    return answers[Math.min(sent.length, answers.length) - 1](init);
  };
  pauses = [];
  return { aorta: new Aorta('https://pay.example/', 'sk_secret', { fetch, ...options }), sent };
}

const params = { amount: '50.00', currency: 'EUR', method: 'card' };

const scenarios = {
  async 'a call is sent as the guide says'() {
    const { aorta, sent } = client([says(200, ok)], { language: 'fi' });
    assert.deepEqual(await aorta.payments.init({ ...params, meta: { country: 'FI' } }, { idempotencyKey: 'order-1' }), ok);
    const [{ address, method, headers, body, init }] = sent;
    assert.equal(address, 'https://pay.example/v1/payments/init');
    assert.equal(method, 'POST');
    assert.equal(init.redirect, 'manual');
    assert.deepEqual(JSON.parse(body), { ...params, meta: { country: 'FI' } });
    assert.equal(headers.get('authorization'), 'Bearer sk_secret');
    assert.equal(headers.get('idempotency-key'), 'order-1');
    assert.equal(headers.get('accept-language'), 'fi');
    assert.equal(headers.get('content-type'), 'application/json');
  },

  async 'names are escaped, and lead nowhere else'() {
    const { aorta, sent } = client([says(200, { data: [], has_more: false })]);
    await aorta.customers.listTransfersPage('a/b ?ü', { limit: 2, currency: 'EUR' });
    assert.equal(sent[0].address, 'https://pay.example/v1/customers/a%2Fb%20%3F%C3%BC/transfers?limit=2&currency=EUR');
    assert.equal(sent[0].key, null);
    for (const name of ['', '.', '..', undefined]) {
      await assert.rejects(aorta.customers.get(name), TypeError);
    }
    assert.equal(sent.length, 1);
  },

  async 'what may be repeated is, under one key'() {
    for (const [name, again] of [
      ['503', says(503, refusal('overloaded'))],
      ['500', says(500, refusal('internal'))],
      ['502 of a proxy', says(502, '<html>')],
      ['504', says(504, refusal('psp_timeout'))],
      ['429', says(429, refusal('rate_limited'))],
      ['409 request_in_progress', says(409, refusal('request_in_progress'))],
      ['nothing', lost],
      ['half an answer', half],
      ['no JSON', says(200, 'OK')],
    ]) {
      const { aorta, sent } = client([again, again, says(200, ok)]);
      assert.deepEqual(await aorta.payments.init(params), ok, name);
      assert.equal(sent.length, 3, name);
      assert.ok(/^[!-~]{20,255}$/.test(sent[0].key), sent[0].key);
      assert.ok(sent.every((s) => s.key === sent[0].key && s.body === sent[0].body), name);
    }
  },

  async 'what may not is not'() {
    for (const [status, code] of [
      [400, 'bad_header'], [401, 'unauthenticated'], [402, 'insufficient_funds'], [403, 'forbidden'], [404, 'not_found'],
      [409, 'state_conflict'], [409, 'idempotency_conflict'], [410, 'expired'], [422, 'validation_failed'],
    ]) {
      const { aorta, sent } = client([says(status, refusal(code))]);
      await assert.rejects(aorta.payments.init(params), (err) => err instanceof AortaError && err.status === status && err.code === code);
      assert.equal(sent.length, 1, code);
    }
    const { aorta, sent } = client([says(302, '', { Location: 'https://elsewhere.example/' })]);
    await assert.rejects(aorta.payments.init(params), (err) => err instanceof AortaError && err.status === 302 && err.code === undefined);
    assert.equal(sent.length, 1);
  },

  async 'each call has a key of its own'() {
    const keys = new Set();
    const { aorta, sent } = client([says(200, ok)]);
    for (let n = 0; n < 1000; n++) {
      await aorta.payments.init(params);
    }
    sent.forEach((s) => keys.add(s.key));
    assert.equal(keys.size, 1000);
  },

  async 'six tries at most, with pauses that double and are of random length'() {
    const most = [0, 0, 0, 0, 0], least = [9e9, 9e9, 9e9, 9e9, 9e9];
    for (let n = 0; n < 300; n++) {
      const { aorta, sent } = client([says(503, refusal('overloaded'))]);
      await assert.rejects(aorta.payments.init(params), (err) => err.idempotencyKey === sent[0].key);
      assert.equal(sent.length, 6);
      assert.equal(pauses.length, 5);
      pauses.forEach((p, k) => ((most[k] = Math.max(most[k], p)), (least[k] = Math.min(least[k], p))));
    }
    most.forEach((p, k) => {
      const bound = 500 * 2 ** k;
      assert.ok(p <= bound && p > 0.8 * bound && least[k] < 0.2 * bound, `pause ${k}: ${least[k]} to ${p}, want 0 to ${bound}`);
    });
    const { aorta, sent } = client([lost], { tries: 12 });
    await assert.rejects(aorta.payments.init(params), ConnectionError);
    assert.ok(sent.length === 11 && pauses.every((p) => p <= 30_000), `${sent.length} tries, ${pauses}`); // the budget's reserve is ten
  },

  async 'Retry-After wins'() {
    const after = async (value) => {
      const { aorta, sent } = client([says(429, refusal('rate_limited'), { 'Retry-After': value }), says(200, ok)]);
      await aorta.payments.init(params).catch(() => {});
      return [sent.length, pauses[0]];
    };
    for (const value of ['7', new Date(Date.now() + 8000).toUTCString()]) {
      const [tries, pause] = await after(value);
      assert.ok(tries === 2 && pause > 6000 && pause <= 8500, `${value}: ${tries} tries, ${pause} ms`);
    }
    assert.deepEqual(await after('3600'), [1, undefined]); // for the caller to wait for
    const [tries, pause] = await after('soon');
    assert.ok(tries === 2 && pause <= 500);
  },

  async 'not more than a tenth of all calls are repeats'() {
    const { aorta, sent } = client([says(503, refusal('overloaded'))]);
    for (let n = 0; n < 1000; n++) {
      await aorta.payments.init(params).catch(() => {});
    }
    assert.ok(sent.length >= 1090 && sent.length <= 1110, `${sent.length} tries of 1000 calls`);
  },

  async 'a signal ends a call, its pauses too'() {
    const controller = new AbortController();
    const { aorta, sent } = client([
      () => {
        realTimeout(() => controller.abort(), 5);
        return says(503, refusal('overloaded'), { 'Retry-After': '30' })();
      },
    ]);
    globalThis.setTimeout = realTimeout;
    const awake = setInterval(() => {}, 1000); // as an open connection would keep it
    try {
      await assert.rejects(aorta.payments.init(params, { signal: controller.signal }), AortaError);
      assert.equal(sent.length, 1);
      const late = client([(init) => new Promise((_, no) => init.signal.addEventListener('abort', () => no(init.signal.reason)))], { timeout: 5, tries: 2 });
      await assert.rejects(late.aorta.payments.init(params), (err) => err instanceof ConnectionError && err.idempotencyKey === late.sent[0].key);
      assert.equal(late.sent.length, 2);
    } finally {
      clearInterval(awake);
      globalThis.setTimeout = (f, ms, ...rest) => (pauses.push(ms), realTimeout(f, 0, ...rest));
    }
  },

  async 'errors are typed'() {
    const of = async (status, body, headers) => {
      const { aorta } = client([says(status, body, headers)], { tries: 1 });
      return aorta.payments.init(params, { idempotencyKey: 'k' }).then(assert.fail, (err) => err);
    };
    const declined = await of(402, refusal('payment_declined', { payment_id: 'pay_1', status: 'failed', decline_code: '20105', retryable: false, alternatives: ['bank'] }));
    assert.deepEqual(declined.decline, { code: '20105', retryable: false, alternatives: ['bank'] });
    assert.deepEqual([declined.paymentId, declined.traceId, declined.idempotencyKey], ['pay_1', '0'.repeat(32), 'k']);
    const invalid = await of(422, refusal('validation_failed', { fields: [{ path: 'amount', code: 'decimals', message: 'EUR has at most 2 decimals' }] }));
    assert.deepEqual(invalid.fields, [{ path: 'amount', code: 'decimals', message: 'EUR has at most 2 decimals' }]);
    assert.match(invalid.message, /422 validation_failed: No\.: amount EUR has at most 2 decimals/);
    assert.deepEqual((await of(409, refusal('idempotency_conflict', { differs: ['amount'] }))).differs, ['amount']);
    assert.equal((await of(409, refusal('state_conflict', { state: 'failed' }))).state, 'failed');
    assert.equal((await of(429, refusal('rate_limited'), { 'Retry-After': '90' })).retryAfter, 90);
    const proxy = await of(502, '<html>', { 'Aorta-Trace-Id': 'abc' });
    assert.deepEqual([proxy.status, proxy.code, proxy.traceId, proxy.details], [502, undefined, 'abc', {}]);
    const odd = await of(422, JSON.stringify({ error: 'x', details: { fields: 'y', decline_code: 7, differs: [1] } }));
    assert.deepEqual([odd.code, odd.fields, odd.decline, odd.differs], ['x', [], undefined, []]);
  },

  async 'a list is gone through, page by page'() {
    const pages = [
      { data: [{ payment_id: 'a' }, { payment_id: 'b' }], has_more: true, next_cursor: '1' },
      { data: [], has_more: true, next_cursor: '2' },
      { data: [{ payment_id: 'c' }], has_more: false },
    ];
    const { aorta, sent } = client(pages.map((p) => says(200, p)));
    const seen = [];
    for await (const p of aorta.payments.list({ status: 'captured', expand: 'meta' })) seen.push(p.payment_id);
    assert.deepEqual(seen, ['a', 'b', 'c']);
    assert.deepEqual(sent.map((s) => new URL(s.address).searchParams.get('cursor')), [null, '1', '2']);
    assert.ok(sent.every((s) => new URL(s.address).searchParams.get('expand') === 'meta'));
    const early = client(pages.map((p) => says(200, p)));
    for await (const _ of early.aorta.payments.list()) break;
    assert.equal(early.sent.length, 1);
    const stuck = client([says(200, { data: [], has_more: true, next_cursor: '1' })]);
    await assert.rejects(async () => {
      for await (const _ of stuck.aorta.payments.list());
    }, /does not say where/);
    const all = client([says(200, { data: [{ operation_id: 'op_1' }] })]);
    assert.deepEqual(await all.aorta.payments.listOperations('pay_1'), [{ operation_id: 'op_1' }]);
  },

  async 'the API key is not printed'() {
    const { aorta } = client([says(401, refusal('unauthenticated'))]);
    const err = await aorta.payments.init(params).catch((e) => e);
    for (const text of [inspect(aorta, { depth: 9, showHidden: true }), JSON.stringify(aorta), inspect(err, { depth: 9 })]) {
      assert.ok(!text.includes('sk_secret'), text);
    }
  },

  async 'every vector of Standard Webhooks'() {
    const vectors = JSON.parse(readFileSync(new URL('../../internal/sign/testdata/standard-webhooks.json', import.meta.url)));
    const realNow = Date.now;
    // What is genuine may still be no JSON: only NotGenuineError is a refusal.
    const believed = async (receiver, body, headers, now) => {
      Date.now = () => now * 1000;
      try {
        return (await receiver.verify(body, headers)).id !== '';
      } catch (err) {
        if (err instanceof NotGenuineError) return false;
        if (err instanceof SyntaxError || err instanceof TypeError) return true;
        throw err;
      } finally {
        Date.now = realNow;
      }
    };
    let ran = 0;
    for (const c of vectors.verify) {
      const body = Buffer.from(c.payload_base64, 'base64');
      const got = await believed(new Receiver(c.secret), body, c.headers, c.now);
      assert.equal(got, c.expect === 'accept', c.name);
      assert.equal(await believed(new Receiver(c.secret), body, new Headers(c.headers), c.now), got, c.name);
      ran++;
    }
    for (const c of [...vectors.sign, ...vectors.asymmetric]) {
      const body = c.payload_base64 === undefined ? c.payload : Buffer.from(c.payload_base64, 'base64');
      const headers = { 'webhook-id': c.webhook_id, 'webhook-timestamp': String(c.webhook_timestamp), 'webhook-signature': c.webhook_signature };
      const receiver = new Receiver(c.public_key ?? c.secret);
      assert.equal(await believed(receiver, body, headers, c.webhook_timestamp), !c.webhook_id.includes('.'), c.name);
      const changed = Buffer.concat([Buffer.from(body), Buffer.from(' ')]);
      assert.equal(await believed(receiver, changed, headers, c.webhook_timestamp), false, c.name);
      ran++;
    }
    for (const c of vectors.secrets) {
      let taken = true;
      try {
        new Receiver(c.secret);
      } catch {
        taken = false;
      }
      assert.equal(taken, c.rule_for_us === 'accept', c.secret);
      ran++;
    }
    assert.equal(ran, 14 + 25 + 8 + 2);
    assert.throws(() => new Receiver(), TypeError);
    const [c] = vectors.verify;
    const body = Buffer.from(c.payload_base64, 'base64');
    const other = 'whsec_' + Buffer.alloc(32).toString('base64');
    assert.ok(await believed(new Receiver(other, c.secret), body, c.headers, c.now), 'the second of two secrets');
    assert.ok(!(await believed(new Receiver(other), body, c.headers, c.now)), 'another secret');
    const signedAs = async (id) => {
      const signature = createHmac('sha256', Buffer.from(c.secret.slice(6), 'base64')).update(`${id}.${c.now}.`).update(body).digest('base64');
      const headers = { 'webhook-id': id, 'webhook-timestamp': String(c.now), 'webhook-signature': `v1,${signature}` };
      return believed(new Receiver(c.secret), body, headers, c.now);
    };
    assert.deepEqual([await signedAs('evt_1'), await signedAs('evt.1'), await signedAs('e'.repeat(129))], [true, false, false]);
    const twice = { ...c.headers, 'Webhook-Id': c.headers['webhook-id'] };
    assert.ok(!(await believed(new Receiver(c.secret), body, twice, c.now)), 'a header that is there twice');
    assert.ok(!(await believed(new Receiver(c.secret), Buffer.alloc((1 << 20) + 1), c.headers, c.now)), 'a message that is too large');
  },
};

for (const [name, run] of Object.entries(scenarios)) {
  let error = '';
  try {
    await run();
  } catch (err) {
    error = String(err?.stack ?? err);
  }
  console.log(JSON.stringify({ name, error }));
}
