// merchant.js: the widget on the merchant's page. It opens our payment page in a modal window, in a frame or instead
// of the merchant's page, and turns the page's messages into calls of the merchant's handlers. It runs among code we
// do not know, so it leaves one global name, touches nothing it did not make, and believes only messages that come
// from its own frame and from the host it opened.

import { EXIT, FAIL_LOADING, FOREIGN_HEIGHT, LOADED, PREFIX, REDIRECT, REDIRECT_IFRAME, REDIRECT_IFRAME_COMPLETE, RESIZE, httpURL, parse, size } from './messages';

type Handler = (data?: unknown) => void;
type Config = Record<string, unknown>;

interface Instance {
  /** Sends a message into the open payment page. */
  sendPostMessage(message: unknown): void;
  /** Closes the window or frame, as the customer's close button does. */
  close(): void;
}

interface EmbeddedInstance extends Instance {
  /** Asks the embedded card form to submit itself. */
  trySubmit(): void;
}

declare global {
  interface Window {
    EP_HOST?: unknown;
    EPayWidget: typeof EPayWidget;
  }
}

// The script knows where it came from only while it runs for the first time.
const script = document.currentScript as HTMLScriptElement | null;

// Messages that end a session: after one of them closing is an exit, before it an abandonment.
const RESULTS = ['payment.success', 'payment.fail', 'card.verify.success', 'card.verify.fail', 'tokenize.success', 'tokenize.fail'].map(
  (name) => PREFIX + name,
);

// How long a frame may show nothing of ours before onFailLoading tells the merchant.
const SILENCE_AFTER_LOAD_MS = 5_000;
const SILENCE_AT_ALL_MS = 30_000;

const LARGEST_HEIGHT = 4_000;

const TEXTS: Record<string, { title: string; close: string }> = {
  ar: { title: 'الدفع', close: 'إغلاق' },
  en: { title: 'Payment', close: 'Close' },
  es: { title: 'Pago', close: 'Cerrar' },
  hi: { title: 'भुगतान', close: 'बंद करें' },
  ru: { title: 'Оплата', close: 'Закрыть' },
};

// texts follows the language the merchant asked the page for, else the merchant's own page.
function texts(config: Config): { title: string; close: string } {
  const wanted = [config['language_code'], document.documentElement.lang, navigator.language];
  for (const language of wanted) {
    const found = typeof language === 'string' ? TEXTS[language.slice(0, 2).toLowerCase()] : undefined;
    if (found) {
      return found;
    }
  }
  return TEXTS['en']!;
}

function on(flag: unknown): boolean {
  return flag === true || flag === 1 || flag === '1' || flag === 'true';
}

function isPhone(): boolean {
  return /Android.+Mobile|iPhone|iPod|Windows Phone|Mobile.+Firefox/i.test(navigator.userAgent);
}

// hostOf decides whose page is opened: baseUrl, else EP_HOST, else where this script came from.
function hostOf(config: Config): URL {
  const source = script ?? document.querySelector<HTMLScriptElement>('script[src*="/shared/merchant.js"]');
  const said = config['baseUrl'] ?? window.EP_HOST ?? (source?.src ? new URL(source.src).origin : location.origin);
  const text = String(said).trim();
  const url = new URL(/^https?:\/\//i.test(text) ? text : `https://${text.replace(/^\/\//, '')}`);
  url.search = '';
  url.hash = '';
  url.pathname = url.pathname.replace(/\/+$/, '') + '/payment';
  return url;
}

// fieldsOf lists what is sent: everything given but handlers, and who asks. The page drops names with a leading
// underscore and frame_mode before it verifies the signature.
function fieldsOf(config: Config, frameMode: string | null): [string, string][] {
  const fields: [string, string][] = [];
  for (const [name, value] of Object.entries(config)) {
    if (typeof value === 'function' || value === undefined || value === null || value instanceof Node) {
      continue;
    }
    fields.push([name, typeof value === 'object' ? JSON.stringify(value) : String(value)]);
  }
  if (frameMode !== null && !('frame_mode' in config)) {
    fields.push(['frame_mode', frameMode]);
  }
  // Without the query: it is the merchant's business and may hold secrets. The page needs the origin to answer to.
  fields.push(['_referrer', location.origin + location.pathname]);
  return fields;
}

// send opens the payment page in the named browsing context.
function send(page: URL, fields: [string, string][], method: string, target: string, frame: HTMLIFrameElement | null): void {
  if (method !== 'POST') {
    const url = new URL(page);
    url.search = new URLSearchParams(fields).toString();
    if (frame) {
      frame.src = url.href;
    } else {
      location.assign(url.href);
    }
    return;
  }
  const form = document.createElement('form');
  form.method = 'post';
  form.action = page.href;
  form.target = target;
  form.acceptCharset = 'utf-8';
  form.hidden = true;
  for (const [name, value] of fields) {
    const input = document.createElement('input');
    input.type = 'hidden';
    input.name = name;
    input.value = value;
    form.append(input);
  }
  document.body.append(form);
  // The prototype's submit: a parameter may be called "submit" and would hide the form's own.
  HTMLFormElement.prototype.submit.call(form);
  form.remove();
}

// call gives the merchant the event. A handler that throws must not take the widget with it, yet the merchant must
// see the error where errors are looked for.
function call(config: Config, handler: string, data?: unknown): void {
  const fn = config[handler];
  if (typeof fn !== 'function') {
    return;
  }
  try {
    (fn as Handler).call(config, data);
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}

// handlerOf gives the handler's name for a message: epframe.payment.success is onPaymentSuccess.
function handlerOf(message: string): string {
  return ('on_' + message.slice(PREFIX.length)).replace(/[._]+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

let count = 0;

// Frame is one open payment page, in a modal window or in an element of the merchant's page.
class Frame implements Instance {
  readonly iframe: HTMLIFrameElement;
  private readonly origin: string;
  private readonly listener = (event: MessageEvent) => this.hear(event);
  private readonly timers: number[] = [];
  private modal: Modal | null = null;
  private loaded = false;
  private failed = false;
  private finished = false;
  private away = false; // at the provider
  private measured = false; // the page shown is ours and tells its size
  private closed = false;
  private readonly told = new Set<string>();
  private shown = '';

  constructor(
    private readonly config: Config,
    private readonly page: URL,
  ) {
    this.origin = page.origin;
    const words = texts(config);
    this.iframe = document.createElement('iframe');
    this.iframe.className = 'ep-iframe';
    this.iframe.name = `ep-iframe-${++count}-${Math.random().toString(36).slice(2)}`;
    this.iframe.title = words.title;
    this.iframe.allow = `payment ${this.origin}`;
    // The merchant's page may lack our style sheet; these keep the frame usable without it.
    this.iframe.style.border = '0';
    this.iframe.style.width = '100%';
    this.iframe.style.display = 'block';
  }

  openModal(method: string): void {
    this.modal = new Modal(this.iframe, this.config, () => this.close());
    this.open(method, 'popup');
  }

  openIn(element: Element, method: string): void {
    this.iframe.style.height = `${FOREIGN_HEIGHT}px`;
    element.replaceChildren(this.iframe);
    this.open(method, 'iframe');
  }

  private open(method: string, frameMode: string): void {
    window.addEventListener('message', this.listener);
    this.iframe.addEventListener('load', () => this.after(SILENCE_AFTER_LOAD_MS), { once: true });
    this.after(SILENCE_AT_ALL_MS);
    send(this.page, fieldsOf(this.config, frameMode), method, this.iframe.name, this.iframe);
  }

  private after(ms: number): void {
    this.timers.push(
      window.setTimeout(() => {
        if (!this.loaded) {
          this.fail();
        }
      }, ms),
    );
  }

  private fail(): void {
    if (this.failed || this.closed) {
      return;
    }
    this.failed = true;
    this.modal?.ready();
    call(this.config, 'onFailLoading', { message: 'Application error', config: this.config });
  }

  sendPostMessage(message: unknown): void {
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    this.iframe.contentWindow?.postMessage(text, this.origin);
  }

  close(): void {
    if (this.closed) {
      return;
    }
    this.closed = true;
    window.removeEventListener('message', this.listener);
    this.timers.forEach((timer) => window.clearTimeout(timer));
    this.modal?.close();
    this.iframe.remove();
    call(this.config, this.finished ? 'onExit' : 'onDestroy');
  }

  private hear(event: MessageEvent): void {
    const message = parse(event.data);
    if (!message) {
      return;
    }
    // Merchants' code posts to its own window what is meant for the page inside.
    if (event.source === window && event.origin === location.origin && message.from_another_domain === true) {
      this.sendPostMessage(message);
      return;
    }
    if (event.source !== this.iframe.contentWindow || event.origin !== this.origin || !message.message.startsWith(PREFIX)) {
      return;
    }
    this.take(message.message, message.data);
  }

  private take(name: string, data: unknown): void {
    switch (name) {
      case LOADED:
        this.modal?.ready();
        this.measured = true;
        this.fit(data);
        if (this.loaded) {
          return; // a later page of the same session; the merchant was told of the first
        }
        this.loaded = true;
        break;
      case FAIL_LOADING:
        this.loaded = true;
        this.measured = true;
        this.fail();
        return;
      case RESIZE: {
        if (!this.measured) {
          return; // of a page that is already leaving
        }
        this.fit(data);
        const shown = JSON.stringify(data);
        if (shown === this.shown) {
          return;
        }
        this.shown = shown;
        break;
      }
      case REDIRECT_IFRAME:
        this.away = true;
        this.measured = false;
        this.fit({ width: 0, height: FOREIGN_HEIGHT });
        break;
      case REDIRECT_IFRAME_COMPLETE:
        if (!this.away) {
          return; // each page after the return says it; the merchant hears of the return once
        }
        this.away = false;
        break;
      case REDIRECT: {
        const url = httpURL((data as { url?: unknown } | undefined)?.url);
        if (url !== null) {
          location.assign(url);
        }
        return;
      }
      case EXIT:
        // Only a window can be closed; a frame is part of the merchant's page.
        if (this.modal) {
          this.close();
        }
        return;
    }
    if (RESULTS.includes(name)) {
      this.finished = true;
      // A result page that is loaded again says its result again.
      if (this.told.has(name)) {
        return;
      }
      this.told.add(name);
    }
    call(this.config, handlerOf(name), data);
  }

  private fit(data: unknown): void {
    const { height } = size(data);
    if (height === 0) {
      return;
    }
    const px = `${Math.min(height, LARGEST_HEIGHT)}px`;
    if (this.modal) {
      this.modal.fit(px);
    } else {
      this.iframe.style.height = px;
    }
  }
}

// Modal is the window over the merchant's page: a native dialog, so that the browser makes the rest inert for every
// kind of input and for screen readers. Its looks are in merchant.css.
class Modal {
  private readonly dialog = document.createElement('dialog');
  private readonly before = document.activeElement;
  private readonly overflow = document.documentElement.style.overflow;
  private readonly button = document.createElement('button');
  private readonly panel = document.createElement('div');
  private readonly iframe: HTMLIFrameElement;

  constructor(iframe: HTMLIFrameElement, config: Config, close: () => void) {
    const words = texts(config);
    this.iframe = iframe;
    this.dialog.className = 'ep-modal ep-modal--loading';
    const extra = config['css_modal_wrap'];
    if (typeof extra === 'string') {
      this.dialog.classList.add(...extra.split(/\s+/).filter((name) => name !== ''));
    }
    this.dialog.setAttribute('aria-label', words.title);
    this.panel.className = 'ep-modal__panel';
    this.button.className = 'ep-modal__close';
    this.button.type = 'button';
    this.button.setAttribute('aria-label', words.close);
    this.button.textContent = '×';
    this.button.addEventListener('click', close);
    // Tab walks from the last thing in the frame to the browser's own bar; these two posts turn it round instead.
    const first = this.post(() => this.iframe.focus());
    const last = this.post(() => this.button.focus());
    this.panel.append(this.button, iframe);
    this.dialog.append(first, this.panel, last);
    this.dialog.addEventListener('cancel', (event) => {
      event.preventDefault();
      close();
    });
    if (on(config['close_on_missclick'])) {
      this.dialog.addEventListener('click', (event) => {
        if (event.target === this.dialog) {
          close();
        }
      });
    }
    document.body.append(this.dialog);
    document.documentElement.style.overflow = 'hidden';
    this.dialog.showModal();
    this.button.focus();
  }

  private post(turn: () => void): HTMLElement {
    const post = document.createElement('span');
    post.tabIndex = 0;
    post.className = 'ep-modal__post';
    post.setAttribute('aria-hidden', 'true');
    post.addEventListener('focus', turn);
    return post;
  }

  ready(): void {
    this.dialog.classList.remove('ep-modal--loading');
    if (document.activeElement === this.button) {
      this.iframe.focus();
    }
  }

  fit(height: string): void {
    this.panel.style.setProperty('--ep-height', height);
  }

  close(): void {
    document.documentElement.style.overflow = this.overflow;
    this.dialog.close();
    this.dialog.remove();
    if (this.before instanceof HTMLElement) {
      this.before.focus();
    }
  }
}

// Opened has nothing inside to speak to: the browser is on its way to the payment page.
const OPENED: Instance = {
  sendPostMessage() {},
  close() {},
};

let current: Frame | null = null;

function run(config: Config, method?: string): Instance {
  const verb = String(method ?? 'GET').toUpperCase() === 'POST' ? 'POST' : 'GET';
  const page = hostOf(config);
  if (on(config['redirect']) || (on(config['redirect_on_mobile']) && isPhone())) {
    send(page, fieldsOf(config, null), verb, '_self', null);
    return OPENED;
  }
  const mode = config['frame_mode'];
  const target = config['target_element'];
  const frame = new Frame(config, page);
  if (target || mode === 'iframe' || mode === 'embedded') {
    const element = target instanceof Element ? target : document.getElementById(String(target ?? ''));
    if (!element) {
      throw new Error(`EPayWidget: no element ${JSON.stringify(target ?? '')} to put the payment page in`);
    }
    frame.openIn(element, verb);
    return frame;
  }
  // One window at a time: a second one would hide the first, which the customer may have half filled in.
  current?.close();
  current = frame;
  frame.openModal(verb);
  return frame;
}

function bind(buttonId: string, config: Config, method?: string): Instance {
  let opened: Instance = OPENED;
  const attach = () =>
    document.getElementById(buttonId)?.addEventListener('click', (event) => {
      event.preventDefault();
      opened = run(config, method);
    });
  if (document.readyState === 'loading') {
    document.addEventListener('DOMContentLoaded', attach, { once: true });
  } else {
    attach();
  }
  return {
    sendPostMessage: (message) => opened.sendPostMessage(message),
    close: () => opened.close(),
  };
}

// runEmbedded would put a card form of ours into the merchant's page. We take no card digits (they are entered at
// the provider), so it says at once, as the protocol has it, that the form cannot be loaded.
function runEmbedded(config: Config, _method?: string): EmbeddedInstance {
  console.warn('EPayWidget.runEmbedded: this platform serves no embedded card form; use run()');
  setTimeout(() => call(config, 'onFailLoading', { message: 'Application error', config }));
  return { ...OPENED, trySubmit() {} };
}

const EPayWidget = { run, bind, runEmbedded };
window.EPayWidget = EPayWidget;
