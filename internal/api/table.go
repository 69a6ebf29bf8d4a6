package api

import (
	"context"
	"net/http"
	"slices"

	"aorta/internal/project"
)

// table lists every call. docs/api.md shows them; openapi.json is made of it.
func (a *API) table() []*route {
	return []*route{
		{
			method: http.MethodPost, pattern: "/v1/payments/init", name: "initPayment", scope: project.ScopePayments,
			doc:  "Begins a payment. It waits up to ten seconds for the provider, then answers pending without redirect_url.",
			body: &initBody{}, answer: &initAnswer{}, once: a.initPayment,
			errors: []code{codeDeclined, codeDuplicate, codeExpired, codeRange, codeCurrency, codeNoMethod, codePSPAway, codeLimit, codeRestricted, codeKYC, codeVelocity},
		},
		{
			method: http.MethodPost, pattern: "/v1/payments/webhook", name: "takeWebhook",
			doc:    "Takes a provider's news of a payment. X-Signature is sha256= and the hexadecimal HMAC-SHA256 of the raw body by the account's secret.",
			answer: &webhookAnswer{}, news: a.takeWebhook, errors: []code{codeMalformedJSON, codeSignature, codeTooLarge, codeOverloaded, codeStorage, codeInternal},
		},
		{
			method: http.MethodGet, pattern: "/v1/payments", name: "listPayments", scope: project.ScopeRead,
			doc:   "Lists the project's payments, newest first. A page may have less than limit, even nothing, while has_more is true: go on with next_cursor.",
			query: &listQuery{}, answer: &paymentList{}, plain: a.listPayments,
		},
		{
			method: http.MethodGet, pattern: "/v1/payments/{payment_id}", name: "getPayment", scope: project.ScopeRead,
			doc:   "Gives a payment as it is now.",
			query: &getQuery{}, answer: &paymentView{}, plain: a.getPayment, errors: []code{codeNotFound},
		},
		{
			method: http.MethodGet, pattern: "/v1/payments/{payment_id}/operations", name: "listOperations", scope: project.ScopeRead,
			doc:    "Lists what was done to a payment, the newest last: its sales, its refunds.",
			answer: &operationList{}, plain: a.listOperations, errors: []code{codeNotFound},
		},
		{
			method: http.MethodGet, pattern: "/v1/payments/{payment_id}/events", name: "listEvents", scope: project.ScopeRead,
			doc:    "Lists what happened to a payment, the newest first.",
			answer: &eventList{}, plain: a.listEvents, errors: []code{codeNotFound},
		},
		{
			method: http.MethodPost, pattern: "/v1/payments/{payment_id}/refunds", name: "createRefund", scope: project.ScopeRefunds,
			doc:  "Gives all or a part of a captured payment back. It waits up to ten seconds for the provider.",
			body: &refundBody{}, answer: &refundView{}, once: a.createRefund,
			errors: []code{codeNotFound, codeState, codeFunds, codeDuplicateRefund, codeRefundTooMuch, codeRange, codeCurrency},
		},
		{
			method: http.MethodGet, pattern: "/v1/refunds/{refund_id}", name: "getRefund", scope: project.ScopeRead,
			doc:    "Gives a refund as it is now.",
			answer: &refundView{}, plain: a.getRefund, errors: []code{codeNotFound},
		},
		{
			method: http.MethodPost, pattern: "/v1/payouts/init", name: "initPayout", scope: project.ScopePayouts,
			doc:  "Pays a customer out of their wallet: reserves the money and sends it once. It waits up to ten seconds for the provider.",
			body: &payoutBody{}, answer: &payoutView{}, once: a.initPayout,
			errors: []code{codeNotFound, codeFunds, codeState, codeDuplicate, codeRange, codeCurrency, codeNoMethod, codeKYC, codeLimit, codeRestricted, codeVelocity, codeDeclined},
		},
		{
			method: http.MethodPost, pattern: "/v1/payouts/{payout_id}/cancel", name: "cancelPayout", scope: project.ScopePayouts,
			doc:  "Cancels a payout that waits, of a licensed project: its money is the customer's again. What was sent is not cancelled.",
			body: &keyBody{}, answer: &payoutView{}, once: a.cancelPayout, errors: []code{codeNotFound, codeState},
		},
		{
			method: http.MethodGet, pattern: "/v1/payouts", name: "listPayouts", scope: project.ScopeRead,
			doc:   "Lists the project's payouts, newest first. A page may have less than limit, even nothing, while has_more is true: go on with next_cursor.",
			query: &payoutQuery{}, answer: &payoutList{}, plain: a.listPayouts,
		},
		{
			method: http.MethodGet, pattern: "/v1/payouts/{payout_id}", name: "getPayout", scope: project.ScopeRead,
			doc:   "Gives a payout as it is now.",
			query: &getQuery{}, answer: &payoutView{}, plain: a.getPayout, errors: []code{codeNotFound},
		},
		{
			method: http.MethodGet, pattern: "/v1/refunds", name: "listRefunds", scope: project.ScopeRead,
			doc:   "Lists the project's refunds, newest first. A page may have less than limit while has_more is true.",
			query: &refundQuery{}, answer: &refundPage{}, plain: a.listRefunds,
		},
		{
			method: http.MethodGet, pattern: "/v1/operations", name: "listAllOperations", scope: project.ScopeRead,
			doc:   "Lists what was done to the project's payments and payouts, newest first. A page may have less than limit while has_more is true.",
			query: &operationQuery{}, answer: &operationPage{}, plain: a.listAllOperations,
		},
		{
			method: http.MethodGet, pattern: "/v1/operations/{operation_id}", name: "getOperation", scope: project.ScopeRead,
			doc:    "Gives an operation as it is now.",
			answer: &operationView{}, plain: a.getOperation, errors: []code{codeNotFound},
		},
		{
			method: http.MethodGet, pattern: "/v1/events", name: "listAllEvents", scope: project.ScopeRead,
			doc:   "Lists what happened to the project's payments and payouts, newest first. A page may have less than limit while has_more is true.",
			query: &eventQuery{}, answer: &eventPage{}, plain: a.listAllEvents,
		},
		{
			method: http.MethodGet, pattern: "/v1/events/{event_id}", name: "getEvent", scope: project.ScopeRead,
			doc:    "Gives an event.",
			answer: &eventView{}, plain: a.getEvent, errors: []code{codeNotFound},
		},
		{
			method: http.MethodPost, pattern: "/v1/wallet/debit", name: "debitWallet", scope: project.ScopeWallet,
			doc:  "Takes money from a customer, for the merchant.",
			body: &moveBody{}, answer: &movedView{}, tell: a.debit, errors: moveErrors,
		},
		{
			method: http.MethodPost, pattern: "/v1/wallet/credit", name: "creditWallet", scope: project.ScopeWallet,
			doc:  "Gives a customer money of the merchant's; of a payment_id, answers by the deposit that is booked already.",
			body: &creditBody{}, answer: &movedView{}, tell: a.credit, errors: moveErrors,
		},
		{
			method: http.MethodPost, pattern: "/v1/wallet/bonus_grant", name: "grantBonus", scope: project.ScopeWallet,
			doc:  "Gives a customer bonus of the merchant's.",
			body: &moveBody{}, answer: &movedView{}, tell: a.grantBonus, errors: moveErrors,
		},
		{
			method: http.MethodPost, pattern: "/v1/wallet/bonus_release", name: "releaseBonus", scope: project.ScopeWallet,
			doc:  "Makes bonus a customer's own.",
			body: &moveBody{}, answer: &movedView{}, tell: a.releaseBonus, errors: moveErrors,
		},
		{
			method: http.MethodPost, pattern: "/v1/rounds/stake", name: "stakeRound", scope: project.ScopeWallet,
			doc:  "Takes what a customer puts into a round.",
			body: &roundBody{}, answer: &movedView{}, tell: a.stake, errors: append(slices.Clone(moveErrors), codeLimit, codeRestricted),
		},
		{
			method: http.MethodPost, pattern: "/v1/rounds/win", name: "winRound", scope: project.ScopeWallet,
			doc:  "Gives what a customer gets out of a round.",
			body: &roundBody{}, answer: &movedView{}, tell: a.win, errors: moveErrors,
		},
		{
			method: http.MethodPost, pattern: "/v1/rounds/rollback", name: "rollbackRound", scope: project.ScopeWallet,
			doc:  "Undoes a round, once and whole.",
			body: &rollbackBody{}, answer: &movedView{}, tell: a.rollback, errors: moveErrors,
		},
		{
			method: http.MethodGet, pattern: "/v1/customers", name: "listCustomers", scope: project.ScopeRead,
			doc:   "Lists the merchant's customers. A page may have less than limit while has_more is true.",
			query: &customerQuery{}, answer: &customerPage{}, plain: a.listCustomers,
		},
		{
			method: http.MethodGet, pattern: "/v1/transfers", name: "listAllTransfers", scope: project.ScopeRead,
			doc:   "Lists what moved by the project's payments and payouts, and by what it asked for itself, newest first. A page may have less than limit while has_more is true.",
			query: &allTransfersQuery{}, answer: &transferPage{}, plain: a.listAllTransfers,
		},
		{
			method: http.MethodGet, pattern: "/v1/transfers/{transfer_id}", name: "getTransfer", scope: project.ScopeRead,
			doc:   "Gives a transfer of the ledger, and what it changed.",
			query: &getTransferQuery{}, answer: &transferDetail{}, plain: a.getTransfer, errors: []code{codeNotFound},
		},
		{
			method: http.MethodGet, pattern: "/v1/customers/{customer_id}", name: "getCustomer", scope: project.ScopeRead,
			doc:    "Gives a customer and what they have.",
			answer: &customerView{}, plain: a.getCustomer, errors: []code{codeNotFound},
		},
		{
			method: http.MethodGet, pattern: "/v1/customers/{customer_id}/limits", name: "listLimits", scope: project.ScopeRead,
			doc:    "Gives what limits a customer of a licensed project, and how much of it is used.",
			answer: &limitsView{}, plain: a.listLimits, errors: []code{codeState},
		},
		{
			method: http.MethodPut, pattern: "/v1/customers/{customer_id}/limits", name: "setLimit", scope: project.ScopeCustomers,
			doc:  "Sets a limit that a customer wants: the first and a lower one at once, a raise after its delay and a confirmation.",
			body: &limitBody{}, answer: &limitsView{}, once: a.setLimit, errors: []code{codeState, codeRange, codeCurrency, codeRestricted},
		},
		{
			method: http.MethodDelete, pattern: "/v1/customers/{customer_id}/limits/{kind}/{period}", name: "removeLimit", scope: project.ScopeCustomers,
			doc:    "Notes that a customer wants to be without a limit: it waits like a raise.",
			answer: &limitsView{}, once: a.removeLimit, errors: []code{codeNotFound, codeState, codeRestricted},
		},
		{
			method: http.MethodPost, pattern: "/v1/customers/{customer_id}/limits/{kind}/{period}/confirm", name: "confirmLimit", scope: project.ScopeCustomers,
			doc:  "Lets a raise or removal hold, once its delay is over, by the customer's word.",
			body: &keyBody{}, answer: &limitsView{}, once: a.confirmLimit, errors: []code{codeNotFound, codeState, codeRestricted},
		},
		{
			method: http.MethodGet, pattern: "/v1/customers/{customer_id}/restrictions", name: "listRestrictions", scope: project.ScopeRead,
			doc:    "Gives what keeps a customer of a licensed project from paying in and from playing.",
			answer: &restrictionsView{}, plain: a.listRestrictions, errors: []code{codeState},
		},
		{
			method: http.MethodPost, pattern: "/v1/customers/{customer_id}/restrictions", name: "restrictCustomer", scope: project.ScopeCustomers,
			doc:  "Pauses or excludes a customer who wants it, at once.",
			body: &restrictionBody{}, answer: &restrictionsView{}, once: a.restrict, errors: []code{codeState},
		},
		{
			method: http.MethodGet, pattern: "/v1/customers/{customer_id}/kyc", name: "getKYC", scope: project.ScopeRead,
			doc:    "Gives the level of verification that a customer of a licensed project has, and the checks that it follows from.",
			answer: &kycView{}, plain: a.getKYC, errors: []code{codeState},
		},
		{
			method: http.MethodPost, pattern: "/v1/customers/{customer_id}/kyc", name: "startCheck", scope: project.ScopeCustomers,
			doc:  "Begins a check of who a customer is. One of the level that is under way is given instead.",
			body: &checkBody{}, answer: &checkView{}, once: a.startCheck, errors: []code{codeState, codeVelocity},
		},
		{
			method: http.MethodPost, pattern: "/v1/customers/{customer_id}/page", name: "createCustomerPage", scope: project.ScopeCustomers,
			doc:  "Gives the link to a customer's own page, of a licensed project: their payouts with what they wait for, their limits, and what happened.",
			body: &pageLinkBody{}, answer: &pageLinkView{}, once: a.createCustomerPage, errors: []code{codeState},
		},
		{
			method: http.MethodPost, pattern: "/v1/customers/{customer_id}/restrictions/end", name: "endRestriction", scope: project.ScopeCustomers,
			doc:  "Asks that a self-exclusion whose time is over ends, which takes a while more.",
			body: &keyBody{}, answer: &restrictionsView{}, once: a.askEnd, errors: []code{codeState},
		},
		{
			method: http.MethodGet, pattern: "/v1/customers/{customer_id}/contact", name: "getContact", scope: project.ScopeRead,
			doc:    "Gives how a customer is reached: most digits of their phone are hidden.",
			answer: &contactView{}, plain: a.getContact,
		},
		{
			method: http.MethodPut, pattern: "/v1/customers/{customer_id}/contact", name: "setContact", scope: project.ScopeCustomers,
			doc:  "Sets a customer's phone, to which codes go by which they link their wallet with a Google user.",
			body: &contactBody{}, answer: &contactView{}, once: a.setContact,
		},
		{
			method: http.MethodDelete, pattern: "/v1/customers/{customer_id}/contact", name: "removeContact", scope: project.ScopeCustomers,
			doc:    "Removes a customer's phone.",
			answer: &contactView{}, once: a.removeContact,
		},
		{
			method: http.MethodGet, pattern: "/v1/customers/{customer_id}/instruments", name: "listInstruments", scope: project.ScopeRead,
			doc:    "Lists what a customer of a licensed project has paid with, and what may go back there.",
			answer: &instrumentList{}, plain: a.listInstruments, errors: []code{codeNotFound, codeState},
		},
		{
			method: http.MethodGet, pattern: "/v1/customers/{customer_id}/transfers", name: "listTransfers", scope: project.ScopeRead,
			doc:   "Lists what moved in a customer's wallet, newest first.",
			query: &transferQuery{}, answer: &transferList{}, plain: a.listTransfers, errors: []code{codeNotFound},
		},
		{
			method: http.MethodGet, pattern: "/v1/accounts", name: "listAccounts", scope: project.ScopeRead,
			doc:   "Lists the accounts of the merchant and their customers. A page may have less than limit while has_more is true.",
			query: &accountQuery{}, answer: &accountList{}, plain: a.listAccounts,
		},
		{
			method: http.MethodPost, pattern: "/v1/webhook_endpoints", name: "createWebhookEndpoint", scope: project.ScopeWebhooks,
			doc:  "Makes an endpoint that hears of events by Standard Webhooks. Its secret is in this answer and nowhere else, not in that of a repeat.",
			body: &endpointBody{}, answer: &endpointView{}, once: a.createEndpoint, errors: []code{codeState},
		},
		{
			method: http.MethodGet, pattern: "/v1/webhook_endpoints", name: "listWebhookEndpoints", scope: project.ScopeRead,
			doc:    "Lists the project's endpoints, the oldest first.",
			answer: &endpointList{}, plain: a.listEndpoints,
		},
		{
			method: http.MethodGet, pattern: "/v1/webhook_endpoints/{endpoint_id}", name: "getWebhookEndpoint", scope: project.ScopeRead,
			doc:    "Gives an endpoint as it is now.",
			answer: &endpointView{}, plain: a.getEndpoint, errors: []code{codeNotFound},
		},
		{
			method: http.MethodPatch, pattern: "/v1/webhook_endpoints/{endpoint_id}", name: "updateWebhookEndpoint", scope: project.ScopeWebhooks,
			doc:  "Changes what is named of an endpoint. Enabling it does not send what was parked: see its replay.",
			body: &endpointChange{}, answer: &endpointView{}, once: a.updateEndpoint, errors: []code{codeNotFound},
		},
		{
			method: http.MethodDelete, pattern: "/v1/webhook_endpoints/{endpoint_id}", name: "deleteWebhookEndpoint", scope: project.ScopeWebhooks,
			doc:    "Ends an endpoint. Its secrets are gone, and what was on its way is dead.",
			answer: &endpointGone{}, once: a.deleteEndpoint, errors: []code{codeNotFound},
		},
		{
			method: http.MethodPost, pattern: "/v1/webhook_endpoints/{endpoint_id}/rotate", name: "rotateWebhookEndpoint", scope: project.ScopeWebhooks,
			doc:  "Gives an endpoint a new secret, in this answer and nowhere else. The old one signs beside it for a while.",
			body: &rotateBody{}, answer: &endpointView{}, once: a.rotateEndpoint, errors: []code{codeNotFound, codeState},
		},
		{
			method: http.MethodPost, pattern: "/v1/webhook_endpoints/{endpoint_id}/test", name: "testWebhookEndpoint", scope: project.ScopeWebhooks,
			doc:  "Sends an endpoint endpoint.test, whatever it asked for.",
			body: &keyBody{}, answer: &deliveryView{}, once: a.testEndpoint, errors: []code{codeNotFound, codeState},
		},
		{
			method: http.MethodGet, pattern: "/v1/webhook_endpoints/{endpoint_id}/deliveries", name: "listWebhookDeliveries", scope: project.ScopeRead,
			doc:   "Lists what an endpoint was told, newest first. A page may have less than limit while has_more is true.",
			query: &deliveryQuery{}, answer: &deliveryList{}, plain: a.listDeliveries, errors: []code{codeNotFound},
		},
		{
			method: http.MethodPost, pattern: "/v1/webhook_endpoints/{endpoint_id}/replay", name: "replayWebhooks", scope: project.ScopeWebhooks,
			doc:  "Sends an endpoint once more what a filter chooses, oldest first, under the same webhook-id; without a filter what is dead or parked.",
			body: &replayBody{}, answer: &replayView{}, once: a.replayWebhooks, errors: []code{codeNotFound, codeState},
		},
		{
			method: http.MethodGet, pattern: "/v1/errors/{code}", name: "explainError",
			doc:    "Says what an error code means, and what to do about it.",
			answer: &errorView{}, plain: explainError, errors: []code{codeNotFound},
		},
		{
			method: http.MethodGet, pattern: "/v1/openapi.json", name: "openapi",
			doc: "This document.", raw: a.serveOpenAPI,
		},
	}
}

// moveErrors are those of every move of a wallet.
var moveErrors = []code{codeFunds, codeState, codeDuplicateTxn, codeRange, codeNotFound}

// errorView is what /v1/errors/{code} says.
type errorView struct {
	Error   string `json:"error" kind:"word" need:"yes" doc:"The code." ex:"not_found"`
	Status  int    `json:"status" kind:"integer" need:"yes" doc:"The HTTP status that it comes with." ex:"404"`
	Message string `json:"message" kind:"text" need:"yes" doc:"What it means." ex:"There is no such thing."`
	Todo    string `json:"todo" kind:"text" need:"yes" doc:"What to do about it." ex:"Check the id and the API key's project."`
}

func explainError(_ context.Context, c *call) (any, error) {
	name := code(c.vars["code"])
	f, ok := facts[name]
	if !ok {
		return nil, refuse(codeNotFound, nil)
	}
	return errorView{string(name), f.status, messageOf(name, languageOf(c.http.Header)), f.todo}, nil
}

func (a *API) serveOpenAPI(w http.ResponseWriter, _ *http.Request, _ *call) error {
	w.Header().Set("Content-Type", mediaJSON)
	w.Write(a.openapi)
	return nil
}
