// The official npm library judges what we sign, with the clock set to each message's own time, and signs the same
// itself. It reads a JSON list of messages and prints a JSON list of what it thought of each: {error, signature}.

'use strict';

const { createRequire } = require('node:module');
const path = require('node:path');

const { Webhook } = createRequire(path.join(__dirname, '..', 'npm', 'package.json'))('standardwebhooks');

let text = '';
process.stdin.on('data', (piece) => (text += piece));
process.stdin.on('end', () => {
  const verdicts = JSON.parse(text).map(({ secret, id, timestamp, body, signature }) => {
    const verdict = { error: '', signature: '' };
    Date.now = () => timestamp * 1000;
    try {
      const judge = new Webhook(secret);
      verdict.signature = judge.sign(id, new Date(timestamp * 1000), body);
      judge.verify(body, { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': signature });
    } catch (err) {
      verdict.error = String(err);
    }
    return verdict;
  });
  process.stdout.write(JSON.stringify(verdicts));
});
