package google

import (
	"context"
	"time"

	"aorta/internal/flow"
	"aorta/internal/fop"
	"aorta/internal/sign"
)

// linkAnswer is what associateAccount answers (section 3.5). A decline has no data of the
// account. We hold no names and addresses, so there is no userInformation.
type linkAnswer struct {
	ID       string     `json:"paymentIntegratorAssociateAccountId"`
	Account  string     `json:"accountId,omitempty"`
	Nickname string     `json:"accountNickname,omitempty"`
	Expires  string     `json:"tokenExpirationTime,omitempty"`
	Result   fop.Result `json:"result"`
}

// associate links a wallet with a Google user.
func (d *Door) associate(ctx context.Context, c *call) (any, error) {
	token, err := text(c.doc.Get("googlePaymentToken"), "googlePaymentToken")
	if err != nil {
		return nil, err
	}
	name, err := text(c.doc.Get("associationId"), "associationId")
	if err != nil {
		return nil, err
	}
	if v := c.doc.Get("provideUserInformation"); given(v) && v.Kind() != sign.KindBool {
		return nil, malformed("provideUserInformation must be true or false")
	}
	by, err := c.evidence(true)
	if err != nil {
		return nil, err
	}
	return stored(d.opts.Wallets.LinkWallet(ctx, flow.Linking{
		GoogleCall: c.named(func(a flow.Answered) any {
			out := linkAnswer{ID: a.Call.ID.String(), Result: a.Call.Result}
			if a.Call.Result == fop.Success {
				out.Account, out.Nickname, out.Expires = a.Association.Account, nickname(a.Association.Account), expiry(a.Association)
			}
			return out
		}),
		Token: token, Association: name, Evidence: by,
	}))
}

// nickname is what a person recognises their wallet by: as the page that linked it has it.
func nickname(account string) string { return "Wallet " + fop.Nickname(account) }

// expiry writes when a token must be refreshed; "0": never.
func expiry(a fop.Association) string {
	if a.ExpiresUS == 0 {
		return "0"
	}
	return Millis(time.UnixMicro(a.ExpiresUS))
}

// refreshAnswer is what refreshToken answers (section 3.6).
type refreshAnswer struct {
	ID      string     `json:"paymentIntegratorRefreshTokenId"`
	Expires string     `json:"tokenExpirationTime,omitempty"`
	Result  fop.Result `json:"result"`
}

// refresh makes a token good again.
func (d *Door) refresh(ctx context.Context, c *call) (any, error) {
	token, err := text(c.doc.Get("googlePaymentToken"), "googlePaymentToken")
	if err != nil {
		return nil, err
	}
	by, err := c.evidence(true)
	if err != nil {
		return nil, err
	}
	return stored(d.opts.Wallets.RefreshLink(ctx, flow.Refreshing{
		GoogleCall: c.named(func(a flow.Answered) any {
			out := refreshAnswer{ID: a.Call.ID.String(), Result: a.Call.Result}
			if a.Call.Result == fop.Success {
				out.Expires = expiry(a.Association)
			}
			return out
		}),
		Token: token, Evidence: by,
	}))
}
