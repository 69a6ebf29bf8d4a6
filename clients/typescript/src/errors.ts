import type { ErrorCode } from "./api.js";

/** Says why a payment was declined. */
export interface DeclineDetails {
  /** Of the ECommPay list. */
  code: string;
  /** Whether the same method may succeed a moment later, under a new key. */
  retryable: boolean;
  /** Other methods for the currency. */
  alternatives: string[];
}

/** A member of a request that is not as it must be. */
export interface FieldError {
  path: string;
  code: string;
  message: string;
}

/** A refusal. Act on its `code`. */
export class AortaError extends Error {
  override readonly name = "AortaError";
  /** Of HTTP. */
  readonly status: number;
  /** Undefined if the answer is not the API's, as of a proxy. */
  readonly code: ErrorCode | undefined;
  /** Names the call in the server's logs. */
  readonly traceId: string | undefined;
  /** As the answer has it; what is below is read of it. */
  readonly details: Record<string, unknown>;
  /** Of a payment that was declined. */
  readonly decline: DeclineDetails | undefined;
  /** Of `validation_failed`: what is wrong. */
  readonly fields: FieldError[];
  /** Of `idempotency_conflict`: members that the first request had otherwise. */
  readonly differs: string[];
  /** The payment that it is about, where there is one. */
  readonly paymentId: string | undefined;
  /** Of `state_conflict`: where the thing stands. */
  readonly state: string | undefined;
  /** How long to wait, in seconds; undefined: nothing is said. */
  readonly retryAfter: number | undefined;
  /** Under which the call was made. */
  readonly idempotencyKey: string | undefined;

  /** @internal */
  constructor(response: Response, text: string, retryAfter: number | undefined, idempotencyKey: string | undefined) {
    const body = object(parsed(text));
    const code = textOf(body["error"]) as ErrorCode | undefined;
    const details = object(body["details"]);
    const fields = list(details["fields"]).filter((f): f is FieldError => textOf(object(f)["path"]) !== undefined);
    const said = textOf(body["message"]) ?? response.statusText;
    super([`${response.status} ${code ?? ""}`.trim(), ...(said ? [said] : []), ...fields.map((f) => `${f.path} ${f.message}`)].join(": "));
    this.status = response.status;
    this.code = code;
    this.traceId = textOf(body["trace_id"]) ?? response.headers.get("aorta-trace-id") ?? undefined; // of a stored answer it is the first call's
    this.details = details;
    const decline = textOf(details["decline_code"]);
    this.decline =
      decline === undefined ? undefined : { code: decline, retryable: details["retryable"] === true, alternatives: texts(details["alternatives"]) };
    this.fields = fields;
    this.differs = texts(details["differs"]);
    this.paymentId = textOf(details["payment_id"]);
    this.state = textOf(details["state"]);
    this.retryAfter = retryAfter;
    this.idempotencyKey = idempotencyKey;
  }
}

/**
 * A call that got no answer, or none that can be read: whether it was done is not known.
 * The same call under its `idempotencyKey` tells. `cause` says what happened.
 */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** Undefined of a call that changes nothing. */
  readonly idempotencyKey: string | undefined;

  /** @internal */
  constructor(method: string, path: string, cause: unknown, idempotencyKey: string | undefined) {
    super(`${method} ${path} got no answer: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.idempotencyKey = idempotencyKey;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function object(v: unknown): Record<string, unknown> {
  return typeof v === "object" && v !== null && !Array.isArray(v) ? (v as Record<string, unknown>) : {};
}

function list(v: unknown): unknown[] {
  return Array.isArray(v) ? v : [];
}

function textOf(v: unknown): string | undefined {
  return typeof v === "string" && v !== "" ? v : undefined;
}

function texts(v: unknown): string[] {
  return list(v).filter((x) => typeof x === "string");
}
