package paypage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"aorta/internal/book"
	"aorta/internal/sign"
	"aorta/web"
)

// Why a request is refused. The texts are for the log: the customer reads one of
// the screens, which never says what was wrong with a request (ecommpay.md 2.3).
var (
	errTooLarge = errors.New("request too large")
	errEmpty    = errors.New("no parameters at all")
	errNotForm  = errors.New("body is not a form")
	errCard     = errors.New("holds a card number or security code") // S24, S26: not even the field is told
	errProject  = errors.New("no such project")
	errMethod   = errors.New("no usable method")
	errTimeOver = errors.New("best_before has passed")
	errFinished = errors.New("payment_id is finished")
	errConflict = errors.New("payment_id belongs to another amount, currency or customer")
	errForeign  = errors.New("confirmed from another site")
	errSession  = errors.New("no such page session")
	errLinkOver = errors.New("the link's time is over")
)

// problem is what is wrong with one parameter, for the merchant's developer.
type problem struct {
	Field string // a name from our own table
	Text  string // never holds what was sent
}

// invalidError lists what is wrong with the parameters.
type invalidError struct{ problems []problem }

func (e *invalidError) Error() string {
	texts := make([]string, len(e.problems))
	for i, p := range e.problems {
		texts[i] = p.Field + " " + p.Text
	}
	return "parameters: " + strings.Join(texts, ", ")
}

// malformedError is a query that cannot be read. It names the problem alone: the
// place is the sender's text.
func malformedError(err error) error {
	var parse *sign.ParseError
	if errors.As(err, &parse) {
		return &invalidError{[]problem{{Field: "request", Text: "has a parameter that is: " + string(parse.Problem)}}}
	}
	return &invalidError{[]problem{{Field: "request", Text: "cannot be read"}}}
}

// screenOf is the one place where errors become screens (ecommpay.md 2.3).
func screenOf(err error) (int, web.ErrorKind) {
	var invalid *invalidError
	switch {
	case errors.Is(err, sign.ErrSignatureMissing), errors.Is(err, sign.ErrSignatureWrong), errors.Is(err, errForeign):
		return http.StatusForbidden, web.ErrorApplication
	case errors.As(err, &invalid), errors.Is(err, errNotForm), errors.Is(err, errCard), errors.Is(err, errProject):
		return http.StatusBadRequest, web.ErrorApplication
	case errors.Is(err, errEmpty):
		// A page that a merchant opened by POST, loaded once more: its link is worth nothing without the form.
		return http.StatusBadRequest, web.ErrorNotFound
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, web.ErrorApplication
	case errors.Is(err, errMethod):
		return http.StatusConflict, web.ErrorNoMethod
	case errors.Is(err, errConflict):
		return http.StatusConflict, web.ErrorConflict
	case errors.Is(err, errFinished):
		return http.StatusConflict, web.ErrorCompleted
	case errors.Is(err, errLinkOver):
		return http.StatusGone, web.ErrorNotFound
	case errors.Is(err, errTimeOver):
		return http.StatusGone, web.ErrorExpired
	case errors.Is(err, errSession):
		return http.StatusNotFound, web.ErrorNotFound
	case errors.Is(err, book.ErrBusy), errors.Is(err, book.ErrNotRun), errors.Is(err, book.ErrUnknown),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, new(*awayError)):
		// Also where nobody knows whether the payment began: trying again finds it.
		return http.StatusServiceUnavailable, web.ErrorBusy
	}
	return http.StatusInternalServerError, web.ErrorBusy
}

// awayError: the store did not answer. The customer may try again.
type awayError struct{ err error }

func (e *awayError) Error() string { return e.err.Error() }
func (e *awayError) Unwrap() error { return e.err }

// away marks what reading the store answered.
func away(doing string, err error) error { return &awayError{fmt.Errorf("%s: %w", doing, err)} }
