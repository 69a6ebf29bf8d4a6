import type { EventType, WebhookData } from "./api.js";

/** A webhook that is genuine. Its id is the same however often it comes: remember it, and drop repeats. */
export interface Message {
  /** webhook-id */
  id: string;
  /** What happened. */
  type: EventType;
  /** When it happened. */
  timestamp: string;
  /** What it happened to. */
  data: WebhookData;
}

/** Headers as fetch has them, or as node:http has them. */
export type WebhookHeaders = Headers | Record<string, string | string[] | undefined>;

/**
 * The error of every message that is not to be believed: answer it 401, and tell nobody
 * which check it failed. Its message says, for the log.
 */
export class NotGenuineError extends Error {
  override readonly name = "NotGenuineError";
}

const tolerance = 300; // seconds between a message's time and ours, either way
const maxMessage = 1 << 20; // bytes
const maxMessageID = 128; // characters
const encoder = new TextEncoder();

interface Key {
  version: string;
  algorithm: "HMAC" | "Ed25519";
  key: Promise<CryptoKey>;
}

/** Verifies webhooks (Standard Webhooks 1.0.0). */
export class Receiver {
  readonly #keys: Key[];

  /**
   * Of an endpoint's secrets, whsec_… or whpk_…; of several any one will do, so that a
   * secret can be changed without losing a message.
   */
  constructor(...secrets: string[]) {
    this.#keys = secrets.map(parseSecret);
    if (this.#keys.length === 0) {
      throw wrongSecret();
    }
  }

  /**
   * Verifies a message. The body is as it came: what was parsed and written again has
   * another signature. Comparing is WebCrypto's, which takes the same time whatever differs.
   */
  async verify(body: string | Uint8Array, headers: WebhookHeaders): Promise<Message> {
    const id = header(headers, "webhook-id");
    const timestamp = header(headers, "webhook-timestamp");
    const signature = header(headers, "webhook-signature");
    const raw = typeof body === "string" ? encoder.encode(body) : body;
    if (raw.length > maxMessage) {
      throw new NotGenuineError(`it has more than ${maxMessage} bytes`);
    }
    if (id.length > maxMessageID || id.includes(".")) {
      throw new NotGenuineError("webhook-id is malformed");
    }
    if (!/^[0-9]+$/.test(timestamp)) {
      throw new NotGenuineError("webhook-timestamp is malformed");
    }
    if (Math.abs(Date.now() / 1000 - Number(timestamp)) > tolerance) {
      throw new NotGenuineError("webhook-timestamp is not of now");
    }
    const head = encoder.encode(`${id}.${timestamp}.`);
    const content = new Uint8Array(head.length + raw.length);
    content.set(head);
    content.set(raw, head.length);
    if (!(await this.#matches(signature, content.buffer as ArrayBuffer))) {
      throw new NotGenuineError("no signature fits");
    }
    const read = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(raw)) as { type: EventType; timestamp: string; data: WebhookData };
    return { id, type: read.type, timestamp: read.timestamp, data: read.data };
  }

  async #matches(signatures: string, content: ArrayBuffer): Promise<boolean> {
    for (const item of signatures.split(" ")) {
      const comma = item.indexOf(",");
      const got = base64(item.slice(comma + 1));
      for (const k of this.#keys) {
        if (got && k.version === item.slice(0, Math.max(0, comma)) && (await crypto.subtle.verify(k.algorithm, await k.key, got, content))) {
          return true;
        }
      }
    }
    return false;
  }
}

function parseSecret(text: string): Key {
  if (text.startsWith("whpk_")) {
    const raw = base64(text.slice("whpk_".length));
    if (!raw || raw.byteLength !== 32) {
      throw wrongSecret();
    }
    return { version: "v1a", algorithm: "Ed25519", key: kept(crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"])) };
  }
  const raw = base64(text.startsWith("whsec_") ? text.slice("whsec_".length) : text);
  if (!raw || raw.byteLength < 24 || raw.byteLength > 64) {
    throw wrongSecret();
  }
  return { version: "v1", algorithm: "HMAC", key: kept(crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["verify"])) };
}

/** A key for later: that there is none is told to who awaits it, and ends no process that nobody has sent a message to. */
function kept(key: Promise<CryptoKey>): Promise<CryptoKey> {
  key.catch(() => {});
  return key;
}

function wrongSecret(): Error {
  return new TypeError("a webhook secret is whsec_ and the standard base64, with its padding, of 24 to 64 bytes, or whpk_ and that of an ed25519 key");
}

/** Standard base64 with its padding and nothing else, or undefined. */
function base64(text: string): ArrayBuffer | undefined {
  if (text === "" || !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) {
    return undefined;
  }
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return btoa(String.fromCharCode(...raw)) === text ? (raw.buffer as ArrayBuffer) : undefined; // bits that say nothing must be none
}

/** One header, whatever the case of its name; it must be there once. */
function header(headers: WebhookHeaders, name: string): string {
  let found: (string | undefined)[];
  if (headers instanceof Headers) {
    found = [headers.get(name) ?? undefined];
  } else {
    found = Object.entries(headers).flatMap(([n, v]) => (n.toLowerCase() === name ? (v ?? []) : []));
  }
  if (found.length > 1) {
    throw new NotGenuineError(`${name} is there twice`);
  }
  if (!found[0]) {
    throw new NotGenuineError(`${name} is missing`);
  }
  return found[0];
}
