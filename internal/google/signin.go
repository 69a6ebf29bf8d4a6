package google

import (
	"context"
	"errors"
	"net/url"
)

// SignIn finds out which customer sits before the page that links a wallet. Package
// login sends them to the operator's own login, package people knows customers by
// itself.
type SignIn interface {
	// Begin begins a sign-in. It is called each time that the page shows one.
	Begin(ctx context.Context, v Visit) (Step, error)

	// End says who has signed in, by what the browser brought: the fields of our form,
	// or the query that another login has sent it back with. Errors: ErrWrong,
	// ErrTooOften, ErrGaveUp, ErrForged.
	End(ctx context.Context, v Visit, brought url.Values) (Person, error)
}

// Enroller is a SignIn that can keep another way for the next time: a passkey.
type Enroller interface {
	// BeginEnroll gives the options that the browser makes a passkey by, or none.
	BeginEnroll(ctx context.Context, v Visit, p Person) (Step, error)
	// EndEnroll keeps what the browser has made.
	EndEnroll(ctx context.Context, v Visit, p Person, brought url.Values) error
}

// Visit is one sight of the page.
type Visit struct {
	Origin   string // of the page, "https://pay.example": passkeys hold for one alone
	Back     string // address that another login sends the browser back to
	Memory   string // what Begin has asked to be remembered since; Begin itself gets none
	IP       string // the customer's
	Language string // of the page
}

// Step is how a sign-in goes on.
type Step struct {
	Leave   string // address of another login; empty: by the page's own form
	Passkey string // options for navigator.credentials, JSON; empty: no passkeys
	Memory  string // what End must be given. It lies in a cookie, signed, for the customer to see
}

// Person is who has signed in.
type Person struct {
	CustomerID string // the merchant's name of them
	How        string // "password", "passkey", "operator"
}

// What a sign-in comes to if not to a person.
var (
	ErrWrong    = errors.New("nobody by that name and secret")
	ErrTooOften = errors.New("too many tries")
	ErrGaveUp   = errors.New("the customer has given up")
	ErrForged   = errors.New("what came back is not the login's")
)
