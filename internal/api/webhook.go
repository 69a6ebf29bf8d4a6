package api

import (
	"context"
	"errors"
	"io"
	"net/http"

	"aorta/internal/connector"
)

// maxWebhook bounds one notification (security.md S32).
const maxWebhook = 1 << 20

// webhookAnswer is what a provider is told: its news is stored.
type webhookAnswer struct {
	Status string `json:"status" kind:"enum:ok" need:"yes" doc:"It is stored. What becomes of it is no concern of the sender." ex:"ok"`
}

// takeWebhook takes a provider's news (L11): verified by the secret of one of the
// accounts, or nothing; stored as it came, and only then answered (L6). It is read
// by the account's connector and not by this door: what is signed is the raw body.
func (a *API) takeWebhook(ctx context.Context, w http.ResponseWriter, c *call) (any, error) {
	r := c.http
	if r.ContentLength > maxWebhook {
		return nil, refuse(codeTooLarge, nil)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, refuse(codeTooLarge, nil)
	case err != nil: // it broke off: silence would be a 200, and it would never come again
		return nil, away(err)
	case len(r.Header.Values("X-Signature")) != 1:
		return nil, refuse(codeSignature, nil)
	}
	err = a.opts.News(ctx, r.Header, body)
	switch {
	case errors.Is(err, connector.ErrSignature):
		return nil, refuse(codeSignature, nil)
	case errors.Is(err, connector.ErrMalformed):
		return nil, refuse(codeMalformedJSON, map[string]any{"problem": "it is signed, but it is no webhook that was agreed: see docs/api.md"})
	case err != nil:
		return nil, away(err)
	}
	return webhookAnswer{"ok"}, nil
}
