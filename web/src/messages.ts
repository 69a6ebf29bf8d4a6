// The words that the payment page and the widget on the merchant's page exchange. A message crosses the frame as a
// JSON string {"message":"epframe.…","data":…}, because merchants' own listeners parse it as one (ecommpay.md 2.4).

export const PREFIX = 'epframe.';

export const LOADED = 'epframe.loaded'; // {width,height}: a page of ours is on screen
export const FAIL_LOADING = 'epframe.fail_loading'; // {message}: the session could not start
export const RESIZE = 'epframe.resize'; // {width,height}
export const METHOD_SELECT = 'epframe.payment_method_select'; // {name,payment_method_type,payment_method_code}
export const SENT = 'epframe.payment.sent'; // the customer confirmed
export const SUBMIT_RESULT = 'epframe.payment_submit_result'; // {request_id}: the platform took it
export const REDIRECT_IFRAME = 'epframe.redirect_iframe'; // the frame is about to leave for a provider
export const REDIRECT_IFRAME_COMPLETE = 'epframe.redirect_iframe_complete'; // and is back
export const SUCCESS = 'epframe.payment.success'; // result object
export const FAIL = 'epframe.payment.fail'; // result object
export const REDIRECT = 'epframe.redirect'; // {url}: the merchant's page is to go there
export const EXIT = 'epframe.exit'; // the customer asked, inside the frame, to close it

// A provider's page tells no height, so the frame gets one that such pages are made for.
export const FOREIGN_HEIGHT = 640;

export interface Message {
  message: string;
  data?: unknown;
  from_another_domain?: unknown;
  [key: string]: unknown;
}

export interface Size {
  width: number;
  height: number;
}

// parse reads a message from either side, and answers null for what is none: a page hears many strangers.
export function parse(raw: unknown): Message | null {
  let value: unknown = raw;
  if (typeof raw === 'string') {
    try {
      value = JSON.parse(raw);
    } catch {
      return null;
    }
  }
  if (typeof value !== 'object' || value === null || typeof (value as Message).message !== 'string') {
    return null;
  }
  return value as Message;
}

// size reads a size that came over the wire; what is no sensible number becomes 0, "leave it".
export function size(data: unknown): Size {
  const given = (typeof data === 'object' && data !== null ? data : {}) as Partial<Record<keyof Size, unknown>>;
  const number = (n: unknown) => (typeof n === 'number' && Number.isFinite(n) && n > 0 ? Math.ceil(n) : 0);
  return { width: number(given.width), height: number(given.height) };
}

// httpURL gives the address in full when a browser may be sent there, and null for javascript:, data: and nonsense.
export function httpURL(text: unknown): string | null {
  if (typeof text !== 'string') {
    return null;
  }
  try {
    const url = new URL(text);
    return url.protocol === 'https:' || url.protocol === 'http:' ? url.href : null;
  } catch {
    return null;
  }
}
