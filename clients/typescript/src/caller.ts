import { AortaError, ConnectionError } from "./errors.js";

/** The parts of a client with a sensible default. */
export interface Options {
  /** Of one try, in milliseconds; 30,000 unless given. The whole call ends with its `signal`. */
  timeout?: number | undefined;
  /** Of one call, at most; 6 unless given, 1 repeats nothing. */
  tries?: number | undefined;
  /** Of the messages of errors, as Accept-Language has it; the server's unless given. */
  language?: string | undefined;
  /** What sends requests; the machine's own unless given. Redirects are never followed: the API key is for one address. */
  fetch?: typeof fetch | undefined;
}

/** What may be said of one call. */
export interface CallOptions {
  /**
   * Names what is to be done once: 1 to 255 visible characters, a new one for each thing
   * that you want done, the same one whenever you try again. Without it a call that
   * changes something has a random one, which its errors tell.
   */
  idempotencyKey?: string | undefined;
  /** Ends the call, pauses included. */
  signal?: AbortSignal | undefined;
}

/** A page of a list. It may be short, even empty, while `has_more` is true. */
export interface Page<T> {
  data: T[];
  has_more: boolean;
  next_cursor?: string;
}

/** A call before it is sent. Its path has fixed and variable parts in turn. */
export interface Outgoing {
  method: string;
  path: string[];
  query?: Record<string, string | number | undefined>;
  body?: object;
  mutates?: boolean;
}

// The client guide of docs/api.md, "Errors". Times in milliseconds.
const firstPause = 500;
const longest = 30_000;
const mostTries = 6;
const callTimeout = 30_000;
const patience = 60_000; // a longer Retry-After is for the caller to wait for
const maxAnswer = 16 << 20; // bytes

// The retry budget: not more than a tenth of all calls, but for a reserve with which a
// client that calls rarely can repeat, too.
const budgetShare = 0.1;
const budgetReserve = 10;

/** Makes calls: authorises, repeats and reads them. */
export class Caller {
  readonly #base: string;
  readonly #key: string; // private, so that who prints a client does not print it
  readonly #agent: string;
  readonly #options: Options;
  #spare = budgetReserve; // retries that the budget has left

  constructor(baseURL: string, apiKey: string, agent: string, options: Options) {
    this.#base = baseURL.replace(/\/+$/, "");
    this.#key = apiKey;
    this.#agent = agent;
    this.#options = options;
  }

  async call<T>(request: Outgoing, options: CallOptions): Promise<T> {
    const address = this.#address(request);
    const key = request.mutates ? (options.idempotencyKey ?? randomKey()) : undefined;
    const body = request.body && JSON.stringify(request.body);
    this.#spare = Math.min(this.#spare + budgetShare, budgetReserve);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#try<T>(request, address, key, body, options.signal);
      } catch (err) {
        const wait = pause(err, attempt);
        if (wait === undefined || attempt >= (this.#options.tries ?? mostTries) || options.signal?.aborted || this.#spare < 1) {
          throw err;
        }
        this.#spare--;
        if (!(await slept(wait, options.signal))) {
          throw err;
        }
      }
    }
  }

  /** A name that would make the address another one's is refused: a customer called ".." is nobody. */
  #address(request: Outgoing): string {
    let path = "";
    request.path.forEach((part, n) => {
      if (n % 2 === 1 && (typeof part !== "string" || part === "" || part === "." || part === "..")) {
        throw new TypeError(`${JSON.stringify(part)} cannot be a part of ${request.path.join("")}`);
      }
      path += n % 2 === 0 ? part : encodeURIComponent(part);
    });
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) {
        query.set(name, String(value));
      }
    }
    return this.#base + path + (query.size > 0 ? `?${query}` : "");
  }

  /** Sends a call once. */
  async #try<T>(request: Outgoing, address: string, key: string | undefined, body: string | undefined, signal: AbortSignal | undefined): Promise<T> {
    const headers = new Headers({ Authorization: `Bearer ${this.#key}`, Accept: "application/json", "User-Agent": this.#agent });
    if (body !== undefined) {
      headers.set("Content-Type", "application/json");
    }
    if (key !== undefined) {
      headers.set("Idempotency-Key", key);
    }
    if (this.#options.language !== undefined) {
      headers.set("Accept-Language", this.#options.language);
    }
    const limit = AbortSignal.timeout(this.#options.timeout ?? callTimeout);
    const init: RequestInit = { method: request.method, headers, redirect: "manual", signal: signal ? AbortSignal.any([signal, limit]) : limit };
    if (body !== undefined) {
      init.body = body;
    }
    new URL(address); // what can never be sent is an error of its own: nothing is lost by it
    try {
      const response = await (this.#options.fetch ?? fetch)(address, init);
      const text = await readAll(response);
      if (!response.ok) {
        throw new AortaError(response, text, retryAfter(response.headers), key);
      }
      return JSON.parse(text) as T;
    } catch (err) {
      if (err instanceof AortaError) {
        throw err;
      }
      throw new ConnectionError(request.method, request.path.join(""), err, key); // half an answer says nothing
    }
  }
}

async function readAll(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  let text = "";
  for (let size = 0; reader; ) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    size += value.length;
    if (size > maxAnswer) {
      await reader.cancel();
      throw new Error(`an answer of more than ${maxAnswer} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
  return text + decoder.decode();
}

/** How long to wait after a failed try: after 409 request_in_progress, 429, 5xx and what the network lost; else undefined. */
function pause(err: unknown, attempt: number): number | undefined {
  if (err instanceof AortaError) {
    if (err.status < 500 && err.status !== 429 && err.code !== "request_in_progress") {
      return undefined;
    }
    const said = (err.retryAfter ?? 0) * 1000;
    if (said > patience) {
      return undefined;
    }
    if (said > 0) {
      return said + Math.random() * firstPause; // a little more, so that not all come back at once
    }
  } else if (!(err instanceof ConnectionError)) {
    return undefined; // it was never sent
  }
  return Math.random() * Math.min(longest, firstPause * 2 ** (attempt - 1)); // full jitter
}

/** Waits; false if the signal ended it. */
function slept(ms: number, signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (slept: boolean) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
      resolve(slept);
    };
    const aborted = () => end(false);
    const timer = setTimeout(() => end(true), ms);
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

/** Reads the header, which has seconds or an instant; undefined if it says nothing. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) {
    return undefined;
  }
  if (/^[0-9]+$/.test(text)) {
    return Number(text);
  }
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - Date.now()) / 1000);
}

/** A key of 130 random bits. It has letters alone: digits of a UUID may look like a card number, which is refused. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(33));
  return Array.from(bytes, (b) => String.fromCharCode(97 + (b & 15))).join("");
}

/** Goes through the pages of a list. */
export async function* all<T>(cursor: string | undefined, next: (cursor: string | undefined) => Promise<Page<T>>): AsyncGenerator<T, void, undefined> {
  for (let at = cursor; ; ) {
    const page = await next(at);
    yield* page.data;
    if (!page.has_more) {
      return;
    }
    if (!page.next_cursor || page.next_cursor === at) {
      throw new Error("a list does not say where it goes on");
    }
    at = page.next_cursor;
  }
}
