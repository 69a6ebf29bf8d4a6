package risk

import "aorta/internal/money"

// ConvertBig is Convert without its short way.
func (r *Rules) ConvertBig(a money.Amount, to money.Currency) (money.Amount, error) {
	return r.convertBig(a, to)
}
