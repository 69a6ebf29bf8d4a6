package flow

import (
	"encoding/json"
	"fmt"
)

// Kept is what came with a sale that no act reads again: SaleRequest.Keep is
// its JSON, and it lies in the payment's Request row.
type Kept struct {
	ReturnSuccess string            `json:"success,omitempty"` // where the customer goes after a payment
	ReturnDecline string            `json:"decline,omitempty"` // after a decline
	ReturnBack    string            `json:"return,omitempty"`  // who gives up, or whose result is not known yet
	Language      string            `json:"language,omitempty"`
	Params        map[string]string `json:"params,omitempty"` // the rest, under the door's own names
	Meta          map[string]string `json:"meta,omitempty"`   // what the merchant wants to find again beside the payment
	Answer        string            `json:"answer,omitempty"` // the request that made it, where that may be repeated under a key
}

// Encode writes k as SaleRequest.Keep has it; nothing to keep is "", which
// costs no row.
func (k Kept) Encode() string {
	if k.ReturnSuccess == "" && k.ReturnDecline == "" && k.ReturnBack == "" && k.Language == "" && len(k.Params)+len(k.Meta) == 0 && k.Answer == "" {
		return ""
	}
	text, err := json.Marshal(k)
	if err != nil {
		panic("texts cannot fail to encode: " + err.Error())
	}
	return string(text)
}

// DecodeKept reads what Encode wrote; "" is the zero Kept.
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
