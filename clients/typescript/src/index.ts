// The TypeScript client of Aorta's native API: payments, refunds, wallets, rounds, and
// the webhooks that tell of them. It needs fetch and WebCrypto, which Node.js 20 has,
// and nothing else. An API key is a secret: this is for servers, not for browsers.
//
// Members are named as on the wire (payment_id), so that the guide, the logs and the
// code have one word for a thing. Money is decimal text in major units, never a number.
// Types and calls are generated of openapi.json (api.ts).

export * from "./api.js";
export type { CallOptions, Options, Page } from "./caller.js";
export { AortaError, ConnectionError } from "./errors.js";
export type { DeclineDetails, FieldError } from "./errors.js";
export { NotGenuineError, Receiver } from "./webhook.js";
export type { Message, WebhookHeaders } from "./webhook.js";
