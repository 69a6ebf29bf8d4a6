package flow

import (
	"encoding/json"
	"fmt"
)

// Kept is what a front door keeps beside a payment (SaleRequest.Keep), so that
// the customer's page can be shown later without the request: addresses and
// looks, never a secret or the customer's data. It is written once and no act
// reads it.
type Kept struct {
	ReturnSuccess string            `json:"return_success,omitempty"` // where the customer goes by themselves when it is paid
	ReturnDecline string            `json:"return_decline,omitempty"` // and when it is declined
	ReturnBack    string            `json:"return_back,omitempty"`    // where the customer may go while the outcome is open
	Language      string            `json:"language,omitempty"`       // as the merchant asked for it
	Params        map[string]string `json:"params,omitempty"`         // the door's own words; others ignore them
}

// Encode writes what SaleRequest.Keep takes. A Kept that says nothing is the
// empty string: then no row is written.
func (k Kept) Encode() string {
	if k.ReturnSuccess == "" && k.ReturnDecline == "" && k.ReturnBack == "" && k.Language == "" && len(k.Params) == 0 {
		return ""
	}
	text, err := json.Marshal(k)
	if err != nil {
		panic("what is kept is plain text and cannot fail to encode: " + err.Error())
	}
	return string(text)
}

// DecodeKept reads what Encode wrote; the empty string is the zero Kept.
func DecodeKept(text string) (Kept, error) {
	var k Kept
	if text == "" {
		return k, nil
	}
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return k, fmt.Errorf("what was kept beside a payment: %w", err)
	}
	return k, nil
}
