// page.js enhances our payment page. Everything it does also happens without it, by plain forms, links and meta
// refresh: it only makes it quicker and tells the merchant's page around the frame what is going on.
//
// What it needs stands in data attributes of <body>, written by templates/layout.html:
//   data-page           confirm | handoff | processing | result | error | customer
//   data-parent-origin  origin of the merchant's page, as the server allowed it; without it nobody is told anything
//   data-request-id     handoff: our id for the request the provider is about to get
//   data-returned       processing, result: the customer is back from the provider
//   data-status-url     processing, result: JSON {"status","final","location","result"}
//   data-outcome        result: success | decline | pending
//   data-result         result: the result object for the merchant, as JSON
//   data-redirect-url, data-redirect-mode   result: where to go at once, and in which window

import {
  EXIT,
  FAIL,
  FAIL_LOADING,
  FOREIGN_HEIGHT,
  LOADED,
  METHOD_SELECT,
  REDIRECT,
  REDIRECT_IFRAME,
  REDIRECT_IFRAME_COMPLETE,
  RESIZE,
  SENT,
  SUBMIT_RESULT,
  SUCCESS,
  httpURL,
  type Size,
} from './messages';

interface Status {
  status: string;
  final: boolean;
  location?: string;
  result?: unknown;
}

const data = document.body.dataset;
const framed = window.parent !== window;

// Pauses between looks at the state, in ms; the last one repeats.
const PAUSES = [700, 1_000, 1_000, 1_500, 2_000, 3_000, 5_000];
const LOOK_TIMEOUT_MS = 10_000;
const SLOW_AFTER_MS = 60_000;
const LAST_MINUTES_S = 300;

function tell(message: string, content?: unknown): void {
  const origin = data['parentOrigin'];
  if (framed && origin) {
    window.parent.postMessage(JSON.stringify(content === undefined ? { message } : { message, data: content }), origin);
  }
}

// contentSize measures what is shown, not the window it is shown in: the frame follows the content, and measuring
// the window would make it follow itself.
function contentSize(): Size {
  const content = document.querySelector<HTMLElement>('.page') ?? document.body;
  const box = content.getBoundingClientRect();
  return { width: Math.ceil(box.width), height: Math.ceil(box.height) };
}

function watchSize(): void {
  let last = '';
  new ResizeObserver(() => {
    const size = contentSize();
    const text = `${size.width}x${size.height}`;
    if (text !== last) {
      last = text;
      tell(RESIZE, size);
    }
  }).observe(document.querySelector('.page') ?? document.body);
}

// again shows the page as the server sees it now. Not reload(): that would offer to repeat a POST.
function again(): void {
  location.replace(location.href.replace(/#.*$/, ''));
}

function clock(seconds: number): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

// countDown runs a timer that the server started: seconds left, not an hour, since the customer's clock may be wrong.
function countDown(timer: HTMLElement): void {
  const left = timer.querySelector<HTMLElement>('.timer__clock');
  const live = timer.querySelector<HTMLElement>('.timer__spoken');
  const end = Date.now() + Number(timer.dataset['seconds']) * 1000;
  const spoken = new Map<number, string | undefined>([
    [LAST_MINUTES_S, timer.dataset['five']],
    [60, timer.dataset['last']],
  ]);
  let before = Infinity;
  const tick = () => {
    const seconds = Math.max(0, Math.round((end - Date.now()) / 1000));
    if (left) {
      left.textContent = clock(seconds);
    }
    timer.classList.toggle('timer--last', seconds <= LAST_MINUTES_S);
    for (const [at, text] of spoken) {
      // A reader hears two marks, not every second.
      if (live && text && seconds <= at && before > at && before !== Infinity) {
        live.textContent = text;
      }
    }
    before = seconds;
    if (seconds === 0) {
      window.clearInterval(running);
      if (timer.dataset['over']) {
        timeOver(timer);
      } else {
        again();
      }
    }
  };
  const running = window.setInterval(tick, 1000);
  tick();
}

// timeOver takes the offer to pay away. The page cannot ask the server for it: it may be the answer to a POST, whose
// parameters only the merchant has. The server refuses a late confirmation in any case.
function timeOver(timer: HTMLElement): void {
  const form = document.querySelector<HTMLFormElement>('#pay-form');
  const heading = document.querySelector('h1');
  const text = document.createElement('p');
  text.className = 'soft';
  text.setAttribute('role', 'alert');
  text.textContent = timer.dataset['overText'] ?? '';
  form?.querySelectorAll(':scope > :not(a)').forEach((part) => part.remove());
  if (heading) {
    heading.textContent = timer.dataset['over'] ?? '';
    heading.after(text);
  }
  document.title = timer.dataset['over'] ?? '';
  timer.remove();
}

function confirmPage(): void {
  const form = document.querySelector<HTMLFormElement>('#pay-form');
  if (!form) {
    return;
  }
  form.addEventListener('change', (event) => {
    const chosen = event.target;
    if (chosen instanceof HTMLInputElement && chosen.name === 'method') {
      tell(METHOD_SELECT, { name: chosen.dataset['name'], payment_method_type: 1, payment_method_code: chosen.value });
    }
  });
  sendOnce(form);
}

// sendOnce guards a form that asks for money. The server would recognise the second press as the same payment; the
// customer should not have to wonder.
function sendOnce(form: HTMLFormElement): void {
  let sent = false;
  form.addEventListener('submit', (event) => {
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    form.classList.add('form--sent');
    form.querySelector('button[type=submit]')?.setAttribute('aria-disabled', 'true');
    tell(SENT);
  });
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) {
      sent = false;
      form.classList.remove('form--sent');
      form.querySelector('button[type=submit]')?.removeAttribute('aria-disabled');
    }
  });
}

function handoffPage(): void {
  const form = document.querySelector<HTMLFormElement>('#psp-form');
  if (!form) {
    return;
  }
  tell(SUBMIT_RESULT, { request_id: data['requestId'] ?? '' });
  tell(REDIRECT_IFRAME);
  // The prototype's submit: a provider may name a field "submit", which would hide the form's own.
  HTMLFormElement.prototype.submit.call(form);
}

async function look(url: string): Promise<Status> {
  const stop = new AbortController();
  const timer = window.setTimeout(() => stop.abort(), LOOK_TIMEOUT_MS);
  try {
    const response = await fetch(url, { headers: { Accept: 'application/json' }, cache: 'no-store', signal: stop.signal });
    if (!response.ok) {
      throw new Error(`status ${response.status}`);
    }
    return (await response.json()) as Status;
  } finally {
    window.clearTimeout(timer);
  }
}

// watch looks after the payment until it has moved, however long the line is down in between.
async function watch(url: string): Promise<void> {
  const notes = document.querySelector<HTMLElement>('#notes');
  const started = Date.now();
  for (let i = 0; ; i++) {
    await new Promise((resolve) => window.setTimeout(resolve, PAUSES[Math.min(i, PAUSES.length - 1)]));
    let note = Date.now() - started > SLOW_AFTER_MS ? notes?.dataset['slow'] : '';
    try {
      const status = await look(url);
      if (status.location) {
        location.replace(new URL(status.location, location.href).href);
        return;
      }
      if (status.final) {
        again();
        return;
      }
    } catch {
      note = notes?.dataset['offline'];
    }
    if (notes && notes.textContent !== (note ?? '')) {
      notes.textContent = note ?? '';
    }
  }
}

function resultPage(): void {
  let result: unknown;
  try {
    result = JSON.parse(data['result'] ?? 'null');
  } catch {
    result = null;
  }
  const offer = document.querySelector<HTMLFormElement>('#again-form');
  if (offer) {
    sendOnce(offer); // while another attempt is on offer the payment has not failed yet
  } else if (data['outcome'] === 'success') {
    tell(SUCCESS, result);
  } else if (data['outcome'] === 'decline') {
    tell(FAIL, result);
  }
  const url = httpURL(data['redirectUrl']);
  if (url === null) {
    return;
  }
  switch (data['redirectMode']) {
    case 'blank_page':
      // Browsers mostly refuse a window nobody clicked for; the page has the same address as a button.
      window.open(url, '_blank', 'noopener');
      return;
    case 'parent_page':
      if (!framed) {
        location.replace(url);
        return;
      }
      // The widget may move its own page without a click; without a widget only the button remains.
      tell(REDIRECT, { url });
      return;
    default:
      location.replace(url);
  }
}

// ownZone writes an instant as people of the reader's own zone and language do. Without scripts it is in UTC.
function ownZone(time: HTMLTimeElement): void {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) {
    time.textContent = at.toLocaleString(document.documentElement.lang, { dateStyle: 'medium', timeStyle: 'short' });
  }
}

function start(): void {
  if (framed) {
    document.documentElement.classList.add('framed');
    // Keys pressed in the frame never reach the merchant's page.
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !event.defaultPrevented) {
        tell(EXIT);
      }
    });
  }
  switch (data['page']) {
    case 'error':
      tell(FAIL_LOADING, { message: 'Application error' });
      watchSize();
      break;
    case 'handoff':
      // Seen for a moment only: the window takes the provider's size at once rather than jump twice under the
      // customer's pointer.
      tell(LOADED, { width: contentSize().width, height: FOREIGN_HEIGHT });
      break;
    default:
      tell(LOADED, contentSize());
      watchSize();
  }
  document.querySelectorAll<HTMLElement>('.timer').forEach(countDown);
  document.querySelectorAll<HTMLTimeElement>('time').forEach(ownZone);
  if (data['returned'] !== undefined) {
    tell(REDIRECT_IFRAME_COMPLETE);
  }
  switch (data['page']) {
    case 'confirm':
      confirmPage();
      break;
    case 'handoff':
      handoffPage();
      break;
    case 'result':
      resultPage();
      break;
  }
  if (data['statusUrl']) {
    void watch(data['statusUrl']);
  }
}

start();
