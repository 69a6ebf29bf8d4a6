package api

import (
	"context"
	"net/http"

	"aorta/internal/project"
)

// table lists every call. docs/api.md shows them; openapi.json is made of it.
func (a *API) table() []*route {
	return []*route{
		{
			method: http.MethodPost, pattern: "/v1/payments/init", name: "initPayment", scope: project.ScopePayments,
			doc:  "Begins a payment. It waits up to ten seconds for the provider, then answers pending without redirect_url.",
			body: &initBody{}, answer: &initAnswer{}, once: a.initPayment,
			errors: []code{codeDeclined, codeDuplicate, codeExpired, codeRange, codeCurrency, codeNoMethod, codePSPAway},
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

// errorView is what /v1/errors/{code} says.
type errorView struct {
	Error   string `json:"error" kind:"word" need:"yes" doc:"The code." ex:"not_found"`
	Status  int    `json:"status" kind:"integer" need:"yes" doc:"The HTTP status that it comes with." ex:"404"`
	Message string `json:"message" kind:"text" need:"yes" doc:"What it means." ex:"There is no such thing."`
	Todo    string `json:"todo" kind:"text" need:"yes" doc:"What to do about it." ex:"Check the id and the API key's project."`
}

func explainError(_ context.Context, c *call) (any, error) {
	f, ok := facts[code(c.vars["code"])]
	if !ok {
		return nil, refuse(codeNotFound, nil)
	}
	return errorView{c.vars["code"], f.status, f.message, f.todo}, nil
}

func (a *API) serveOpenAPI(w http.ResponseWriter, _ *http.Request, _ *call) error {
	w.Header().Set("Content-Type", mediaJSON)
	w.Write(a.openapi)
	return nil
}
