'use strict';
(() => {
  for (const element of document.querySelectorAll('.scripted')) {
    element.hidden = false;
  }

  // The handlers of ecommpay.md section 2.4 that a customer's visit can cause.
  // Each is written into the list, so that a person and a browser test see it.
  const handlers = [
    'onLoaded', 'onFailLoading', 'onPaymentMethodSelect', 'onPaymentSent', 'onPaymentSubmitResult',
    'onRedirectIframe', 'onRedirectIframeComplete', 'onPaymentSuccess', 'onPaymentFail', 'onDestroy', 'onExit',
  ];
  const events = document.getElementById('events');

  const note = (name, detail) => {
    const item = document.createElement('li');
    item.dataset.event = name;
    item.textContent = detail === undefined ? name : name + ' ' + JSON.stringify(detail);
    events.append(item);
    while (events.children.length > 200) {
      events.firstElementChild.remove();
    }
  };

  const showOrder = (order) => {
    const link = document.createElement('a');
    link.href = order.order_url;
    link.textContent = 'Order ' + order.payment_id;
    document.getElementById('order').replaceChildren(link);
  };

  const pay = async (button) => {
    const mode = document.querySelector('input[name=mode]:checked').value;
    button.disabled = true;
    try {
      const query = new URLSearchParams({good: button.dataset.good, mode});
      const answer = await fetch('/shop/orders?' + query, {method: 'POST'});
      if (!answer.ok) {
        throw new Error('the shop answered ' + answer.status);
      }
      const order = await answer.json();
      showOrder(order);
      if (typeof EPayWidget === 'undefined') {
        throw new Error('the payment widget could not be loaded');
      }
      for (const name of handlers) {
        order.config[name] = (detail) => note(name, detail);
      }
      EPayWidget.run(order.config, 'POST');
    } catch (error) {
      note('error', error.message);
    } finally {
      button.disabled = false;
    }
  };

  for (const button of document.querySelectorAll('button[data-good]')) {
    button.addEventListener('click', () => pay(button));
  }

  // The order's page looks for new callbacks, and leaves it alone while nothing
  // has changed: opened details stay open and screen readers stay quiet.
  const callbacks = document.getElementById('callbacks');
  if (callbacks) {
    let shown = '';
    const look = async () => {
      try {
        const answer = await fetch(callbacks.dataset.refresh);
        const text = await answer.text();
        if (answer.ok && text !== shown) {
          shown = text;
          callbacks.innerHTML = text;
        }
      } catch {
        // The shop is away; the next look may find it.
      }
      setTimeout(look, 1000);
    };
    look();
  }
})();
