// What the types allow, and what they refuse: `make check/types` fails if one of the
// marked lines compiles. It is never run.

import { Aorta, AortaError, ConnectionError, type Payment, type PaymentStatus, Receiver } from "aorta";

const aorta = new Aorta("https://pay.example", "sk_…", { timeout: 5000, tries: 3, language: "fi" });

export async function allowed(): Promise<PaymentStatus> {
  const begun = await aorta.payments.init(
    { amount: "50.00", currency: "EUR", method: "card", customer_id: undefined, meta: { country: "FI" } },
    { idempotencyKey: "order-1", signal: AbortSignal.timeout(60_000) },
  );
  const paid: Payment = await aorta.payments.get(begun.payment_id, { expand: "operations" });
  for await (const payment of aorta.payments.list({ status: "captured", limit: 50 })) {
    console.log(payment.amount, payment.decline?.code, payment.operations?.[0]?.kind);
  }
  await aorta.webhookEndpoints.rotate("we_1");
  await aorta.payments.createRefund(paid.payment_id);
  try {
    await aorta.rounds.stake({ round_id: "spin-1", txn_id: "bet-1", amount: "5.00", currency: "EUR" });
  } catch (err) {
    if (err instanceof AortaError && err.code === "insufficient_funds") {
      console.log(err.decline?.alternatives, err.traceId);
    } else if (err instanceof ConnectionError) {
      console.log(err.idempotencyKey);
    }
  }
  const message = await new Receiver("whsec_…").verify("{}", { "webhook-id": "evt_1" });
  console.log(message.type === "payment.captured", message.data.payment_id, message.data.refund?.amount);
  return paid.status;
}

export async function refused(): Promise<void> {
  // @ts-expect-error money is text
  await aorta.payments.init({ amount: 50, currency: "EUR", method: "card" });
  // @ts-expect-error a member must be there
  await aorta.payments.init({ amount: "50.00", currency: "EUR" });
  // @ts-expect-error a member that there is not
  await aorta.payments.init({ amount: "50.00", curency: "EUR", currency: "EUR", method: "card" });
  // @ts-expect-error a word that there is not
  aorta.payments.list({ status: "paid" });
  // @ts-expect-error the key is an option of the call
  await aorta.wallet.debit({ txn_id: "1", amount: "1.00", currency: "EUR", idempotency_key: "1" });
  // @ts-expect-error what the call cannot tell
  await aorta.payments.get("pay_1", { expand: "meta" });
  // @ts-expect-error a list is not awaited but gone through
  (await aorta.payments.list()).data;
  const payment = await aorta.payments.get("pay_1");
  // @ts-expect-error it may not be there
  payment.redirect_url.length;
  // @ts-expect-error a code that there is not
  const code: "nonsense" = (new Error() as AortaError).code;
  console.log(code);
}
