// A stand-in for Paytm whose only judge and signer is the vendor's own npm library. It prints its address, answers
// the calls of paytm.md sections 3 to 6 with a vendor signature, and under /verdicts tells what it thought of each
// request's. Under /notification it makes what Paytm would send.

'use strict';

const http = require('node:http');
const { createRequire } = require('node:module');
const path = require('node:path');

const PaytmChecksum = createRequire(path.join(__dirname, '..', 'npm', 'package.json'))('paytmchecksum');
const { mid, key } = JSON.parse(process.argv[2]);

const verdicts = [];

// rawBody cuts the value of "body" out of the text: the signature is over these bytes, not over a rewritten copy.
function rawBody(text) {
  const { body } = JSON.parse(text);
  for (let at = text.indexOf('"body"'); at >= 0; at = text.indexOf('"body"', at + 1)) {
    const start = text.indexOf('{', at);
    for (let end = text.lastIndexOf('}'); end > start; end = text.lastIndexOf('}', end - 1)) {
      const value = text.slice(start, end + 1);
      try {
        if (JSON.stringify(JSON.parse(value)) === JSON.stringify(body)) {
          return value;
        }
      } catch {
        // not the end of the value
      }
    }
  }
  throw new Error('no body in the request');
}

const answers = {
  '/theia/api/v1/initiateTransaction': () => ({
    resultInfo: { resultStatus: 'S', resultCode: '0000', resultMsg: 'Success' },
    txnToken: 'fe795335ed3049c78a57271075f2199e1526969112097',
    isPromoCodeValid: false,
    authenticated: false,
  }),
  '/v3/order/status': ({ orderId }) => ({
    resultInfo: { resultStatus: 'TXN_SUCCESS', resultCode: '01', resultMsg: 'Txn Success' },
    txnId: '20260102111212800110168', bankTxnId: '777001', orderId, txnAmount: '25.00', txnType: 'SALE',
    gatewayName: 'WALLET', bankName: 'WALLET', mid, paymentMode: 'PPI', refundAmt: '0.00', txnDate: '2026-01-02 08:34:05.0',
  }),
  '/refund/apply': ({ orderId, txnId, refId, refundAmount }) => ({
    resultInfo: { resultStatus: 'PENDING', resultCode: '601', resultMsg: 'Refund request was raised for this transaction.' },
    mid, orderId, txnId, refId, refundId: 'PAYTM_REFUND_ID', refundAmount, txnAmount: '25.00',
  }),
  '/v2/refund/status': ({ orderId, refId }) => ({
    resultInfo: { resultStatus: 'TXN_SUCCESS', resultCode: '10', resultMsg: 'Refund Successful' },
    mid, orderId, txnId: '20260102111212800110168', refId, refundId: 'PAYTM_REFUND_ID', refundAmount: '10.00',
    txnAmount: '25.00', totalRefundAmount: '10.00', refundType: 'TO_SOURCE',
  }),
};

async function notification(kind, orderId) {
  if (kind === 'form') {
    const fields = {
      MID: mid, ORDERID: orderId, TXNID: '20260102111212800110168', TXNAMOUNT: '25.00', CURRENCY: 'INR', PAYMENTMODE: 'PPI',
      TXNDATE: '2026-01-02 08:34:05.0', STATUS: 'TXN_SUCCESS', RESPCODE: '01', RESPMSG: 'Txn Success', GATEWAYNAME: 'WALLET',
      BANKTXNID: '', BANKNAME: 'WALLET',
    };
    fields.CHECKSUMHASH = await PaytmChecksum.generateSignature(fields, key);
    return ['application/x-www-form-urlencoded', new URLSearchParams(fields).toString()];
  }
  const body = JSON.stringify({
    mid, orderId, txnId: '20260102111212800110168', txnAmount: '25.00', currency: 'INR', status: 'TXN_SUCCESS', respCode: '01',
    respMsg: 'Txn Success', txnType: 'SALE', paymentMode: 'PPI', bankTxnId: '', bankName: 'WALLET', txnDate: '2026-01-02 08:34:05.0',
  });
  return ['application/json', `{"head":{"signature":"${await PaytmChecksum.generateSignature(body, key)}"},"body":${body}}`];
}

const server = http.createServer(async (request, response) => {
  try {
    const url = new URL(request.url, 'http://judge');
    let text = '';
    for await (const part of request) {
      text += part;
    }
    if (url.pathname === '/verdicts') {
      response.end(JSON.stringify(verdicts));
      return;
    }
    if (url.pathname === '/notification') {
      const [type, body] = await notification(url.searchParams.get('kind'), url.searchParams.get('order'));
      response.setHeader('Content-Type', type);
      response.end(body);
      return;
    }
    const answer = answers[url.pathname];
    if (!answer) {
      response.statusCode = 404;
      response.end();
      return;
    }
    const raw = rawBody(text);
    const { head, body } = JSON.parse(text);
    verdicts.push({
      path: url.pathname,
      verified: PaytmChecksum.verifySignature(raw, key, head.signature),
      changed: PaytmChecksum.verifySignature(raw.replace(mid, 'SOMEBODYELSE'), key, head.signature),
    });
    const reply = JSON.stringify(answer(body));
    const signature = await PaytmChecksum.generateSignature(reply, key);
    response.setHeader('Content-Type', 'application/json');
    response.end(`{"head":{"responseTimestamp":"${Date.now()}","version":"v1","signature":"${signature}"},"body":${reply}}`);
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error.stack));
  }
});

server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
// The test holds our standard input open for as long as it needs us.
process.stdin.resume().on('end', () => process.exit(0));
