// Our own TypeScript client uses the built binary, over a line that loses what it is told to (clients_test.go). Prints
// one JSON line {name, error} for each scenario; each goes on where the one before ended.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { Aorta, AortaError, NotGenuineError, Receiver } from '../../clients/typescript/dist/aorta.js';

const given = JSON.parse(process.argv[2]);
const aorta = new Aorta(given.line, given.api_key);
const customer_id = 'ts';
let paid = '';

const next = (...faults) => fetch(`${given.line}/~next?faults=${faults}`, { method: 'POST' });
const refused = (code, more = () => true) => (err) => err instanceof AortaError && err.code === code && more(err);

async function all(list) {
  const out = [];
  for await (const v of list) out.push(v);
  return out;
}

const scenarios = {
  async 'one payment, however often it is sent, and its money once'() {
    const order = {
      amount: '50.00', currency: 'EUR', method: 'card', return_url: 'https://shop.example/', customer_id, meta: { country: 'FI', device: 'ios' },
    };
    const options = { idempotencyKey: 'ts-order-1' };
    await next('lost', 'cut', 'half', '503', '429');
    const begun = await aorta.payments.init(order, options);
    assert.equal(begun.status, 'pending');
    const conflict = refused('idempotency_conflict', (err) => err.status === 409 && `${err.differs}` === 'amount');
    await assert.rejects(aorta.payments.init({ ...order, amount: '51.00' }, options), conflict);
    const payments = await all(aorta.payments.list({ customer_id, expand: 'meta' }));
    assert.deepEqual(payments.map((p) => [p.payment_id, p.amount, p.meta.device]), [[begun.payment_id, '50.00', 'ios']]);
    paid = begun.payment_id;
    const credit = { payment_id: paid, txn_id: 'ts-txn_1', amount: '50.00' };
    await assert.rejects(aorta.wallet.credit(credit), refused('state_conflict', (err) => err.state === 'pending'));
    await fetch(begun.redirect_url, { method: 'POST', body: new URLSearchParams({ step: '3ds', action: 'approve' }), redirect: 'manual' });
    for (let n = 0; (await aorta.payments.get(paid)).status !== 'captured'; n++) {
      assert.ok(n < 500, 'it is never captured');
      await sleep(20);
    }
    const { operations } = await aorta.payments.get(paid, { expand: 'operations' });
    assert.equal(operations[0].status, 'succeeded');
    const booked = await aorta.wallet.credit(credit);
    assert.deepEqual([booked.kind, booked.available], ['deposit', '50.00']);
  },

  async 'moves that are sent more than once move once'() {
    const move = (round_id, txn_id, amount) => ({ round_id, txn_id, customer_id, amount, currency: 'EUR' });
    await next('cut', '409', '500');
    assert.equal((await aorta.rounds.stake(move('ts-spin-1', 'ts-bet-1', '5.00'))).available, '45.00');
    assert.equal((await aorta.rounds.win(move('ts-spin-1', 'ts-win-1', '7.50'))).available, '52.50');
    await aorta.rounds.rollback({ round_id: 'ts-spin-1', txn_id: 'ts-undo-1', customer_id });
    await assert.rejects(aorta.rounds.win(move('ts-spin-1', 'ts-win-2', '1.00')), refused('state_conflict'));
    await assert.rejects(aorta.rounds.stake(move('ts-spin-2', 'ts-bet-2', '50.01')), refused('insufficient_funds', (err) => err.status === 402));
    const invalid = refused('validation_failed', (err) => err.fields[0].path === 'amount');
    await assert.rejects(aorta.wallet.debit({ txn_id: 'ts-hat', customer_id, amount: '5.001', currency: 'EUR' }), invalid);
    const { balances } = await aorta.customers.get(customer_id);
    assert.equal(balances[0].available, '50.00');
  },

  async 'a list is gone through page by page, each line once'() {
    for (let n = 0; n < 6; n++) {
      await aorta.wallet.debit({ txn_id: `ts-tea-${n}`, customer_id, amount: '1.00', currency: 'EUR' });
    }
    const lines = await all(aorta.customers.listTransfers(customer_id, { limit: 2 }));
    const want = [...Array(6).fill('debit -1.00'), 'rollback -2.50', 'win 7.50', 'stake -5.00', 'deposit 50.00'];
    assert.deepEqual(lines.map((l) => `${l.kind} ${l.change}`), want);
    await assert.rejects(aorta.payments.get('pay_nonsense'), refused('not_found'));
    const refund = await aorta.payments.createRefund(paid, { amount: '1.00', currency: 'EUR' });
    assert.equal((await aorta.refunds.get(refund.refund_id)).payment_id, paid);
  },

  async 'a payout that is sent more than once leaves once'() {
    await next('cut', '503', 'half');
    let payout = await aorta.payouts.init({ customer_id, amount: '20.00', currency: 'EUR' }, { idempotencyKey: 'ts-payout-1' });
    let balance = {};
    for (let n = 0; payout.status === 'pending' || balance.reserved !== '0.00'; n++) {
      assert.ok(n < 500, 'it is never paid');
      await sleep(20);
      payout = await aorta.payouts.get(payout.payout_id);
      balance = (await aorta.customers.get(customer_id)).balances[0]; // the refund is under way, too
    }
    assert.deepEqual([payout.status, payout.method, balance.available], ['paid', 'card', '23.00']);
    const payouts = await all(aorta.payouts.list({ customer_id, limit: 1 }));
    assert.deepEqual(payouts.map((p) => p.payout_id), [payout.payout_id]);
    await assert.rejects(aorta.payouts.init({ customer_id, amount: '23.01', currency: 'EUR' }), refused('insufficient_funds'));
  },

  async 'messages are believed, while the secret is changed too'() {
    const receivers = [];
    const heard = [];
    const shop = createServer(async (request, response) => {
      const pieces = [];
      for await (const piece of request) pieces.push(piece);
      const body = Buffer.concat(pieces);
      let word = '';
      for (const receiver of receivers) {
        word += await receiver.verify(body, request.headers).then((m) => `${m.data.state === 'enabled' ? m.type : JSON.stringify(m)} `, (err) => (err instanceof NotGenuineError ? '' : String(err)));
        word += await receiver.verify(Buffer.concat([body, Buffer.from(' ')]), request.headers).then(() => 'FORGED ', () => '');
      }
      heard.push(word);
      response.writeHead(204).end();
    }).listen(0, '127.0.0.1');
    await once(shop, 'listening');
    try {
      const endpoint = await aorta.webhookEndpoints.create({ url: `http://127.0.0.1:${shop.address().port}/`, events: ['payment.pending'] });
      const test = async (want) => {
        const before = heard.length;
        await aorta.webhookEndpoints.test(endpoint.endpoint_id);
        for (let n = 0; heard.length === before; n++) {
          assert.ok(n < 1000, 'no webhook came');
          await sleep(20);
        }
        assert.equal(heard.at(-1), want);
      };
      receivers.push(new Receiver(endpoint.secret));
      await test('endpoint.test ');
      receivers.push(new Receiver((await aorta.webhookEndpoints.rotate(endpoint.endpoint_id)).secret), new Receiver(`whsec_${'A'.repeat(43)}=`));
      await test('endpoint.test endpoint.test ');
      const deliveries = await all(aorta.webhookEndpoints.listDeliveries(endpoint.endpoint_id, { limit: 1 }));
      assert.deepEqual(deliveries.map((d) => d.type), ['endpoint.test', 'endpoint.test']);
      assert.equal((await aorta.webhookEndpoints.delete(endpoint.endpoint_id)).state, 'deleted');
    } finally {
      shop.closeAllConnections();
      shop.close();
    }
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
