package paypage

import (
	"slices"

	"aorta/internal/flow"
	"aorta/internal/project"
	"aorta/web"
)

// looks is what decides how screens look and where they may lead: the merchant's
// settings and signed addresses, and the window that asks.
type looks struct {
	project  project.Project
	kept     flow.Kept // before the signature is verified, without addresses
	callback string
	dest     string // Sec-Fetch-Dest: the browser's own word for the window
	local    bool   // pages of this machine may frame us and hear of events: TestMode
}

// unverified gives the looks of a request whose signature is not known to be
// right: only what does no harm in anybody's mouth.
func (l looks) unverified(pr project.Project, kept flow.Kept) looks {
	l.project = pr
	l.kept = flow.Kept{Language: kept.Language, Params: map[string]string{}}
	for _, field := range []string{"frame_mode", referrer} {
		l.kept.Params[field] = kept.Params[field]
	}
	return l
}

// framed says whether the page is inside the merchant's. Browsers tell since
// 2020; before, the widget's frame_mode did.
func (l looks) framed() bool {
	if l.dest != "" {
		return slices.Contains([]string{"iframe", "frame", "embed", "object"}, l.dest)
	}
	return slices.Contains([]string{"popup", "iframe", "embedded"}, l.kept.Params["frame_mode"])
}

// ancestors lists who may show the page in a frame: the project's origins, or
// without any the origins of the addresses that the merchant has registered with
// us or signed (S28).
func (l looks) ancestors() []string {
	if len(l.project.Origins) > 0 {
		return l.project.Origins
	}
	var found []string
	for _, address := range []string{
		l.kept.ReturnSuccess, l.kept.ReturnDecline, l.kept.ReturnBack, l.kept.Params["merchant_success_url"], l.kept.Params["merchant_fail_url"],
		l.kept.Params["merchant_return_url"], l.callback, l.project.CallbackURL,
	} {
		if origin := web.Origin(address); origin != "" && !slices.Contains(found, origin) {
			found = append(found, origin)
		}
	}
	return found
}

// parent is the origin that hears of every step: the one that the widget names,
// if it may frame us at all. A page that names none, without the widget, is taken
// to be the project's own where it has but one.
func (l looks) parent() string {
	allowed := l.ancestors()
	named := l.kept.Params[referrer]
	if l.local && web.Loopback(named) {
		return named
	}
	for _, a := range allowed {
		if web.Origin(a) == named && named != "" {
			return named
		}
	}
	if named == "" && len(allowed) == 1 && l.framed() {
		return web.Origin(allowed[0])
	}
	return ""
}

// allowed reads one of the protocol's *_enabled parameters: never, only in a tab
// of our own, always. An address that comes without one is meant to be used.
func (l looks) allowed(enabled string) bool {
	switch l.kept.Params[enabled] {
	case "0":
		return false
	case "1":
		return !l.framed()
	}
	return true
}

// button gives the button that the merchant wants on pages of that kind, or nil.
// It leaves the frame unless the merchant says otherwise: a shop within a shop
// helps nobody.
func (l looks) button(kind web.Kind) *web.Button {
	name := "merchant_" + string(kind)
	address := l.kept.Params[name+"_url"]
	if address == "" || !l.allowed(name+"_enabled") {
		return nil
	}
	mode := modeOf(l.kept.Params[name+"_redirect_mode"])
	if mode == "" {
		mode = web.ModeParent
	}
	return &web.Button{Kind: kind, URL: address, Mode: mode}
}

// back gives the button that leads to the merchant from where nothing can be done
// any more, or not yet. The texts of ButtonFail promise nothing; those of
// ButtonReturn would promise to cancel.
func (l looks) back() *web.Button {
	b := l.button(web.ButtonReturn)
	if b == nil && l.kept.ReturnBack != "" {
		b = &web.Button{URL: l.kept.ReturnBack, Mode: web.ModeParent}
	}
	if b == nil {
		b = l.button(web.ButtonFail)
	}
	if b != nil {
		b.Kind = web.ButtonFail
	}
	return b
}

// end gives the button of a result screen, or nil.
func (l looks) end(kind web.Kind) *web.Button {
	b := l.button(kind)
	if b == nil {
		b = l.button(web.ButtonReturn)
	}
	if b != nil {
		b.Kind = kind // "Back to the shop": there is nothing left to cancel
	}
	return b
}

// afterwards gives the button for a payment that was finished before, or nil.
func (l looks) afterwards(outcome web.Outcome) *web.Button {
	kind, address := web.ButtonSuccess, l.kept.ReturnSuccess
	if outcome == web.OutcomeDecline {
		kind, address = web.ButtonFail, l.kept.ReturnDecline
	}
	if b := l.end(kind); b != nil || address == "" {
		return b
	}
	return &web.Button{Kind: kind, URL: address, Mode: web.ModeParent}
}

// redirect says where a finished payment takes the customer by itself, or nil.
func (l looks) redirect(outcome web.Outcome, reason web.Reason) *web.Redirect {
	address, name := l.kept.ReturnSuccess, "redirect_success"
	if outcome == web.OutcomeDecline {
		address, name = l.kept.ReturnDecline, "redirect_fail"
		if address == "" && reason == web.ReasonCancelled {
			address = l.kept.ReturnBack // redirect_return_url: for a customer who gave up at the provider
		}
	}
	if address == "" || !l.allowed(name+"_enabled") {
		return nil
	}
	mode := modeOf(l.kept.Params[name+"_mode"])
	if mode == "" {
		mode = web.ModeFrame
	}
	return &web.Redirect{URL: address, Mode: mode}
}

// retries is how often the customer may try again after a decline. The offer
// needs the result page, and so is not made where a decline leads away from it
// (ecommpay.md section 2.3).
func (l looks) retries() int {
	if r := l.redirect(web.OutcomeDecline, ""); r != nil && r.Mode != web.ModeBlank {
		return 0
	}
	return max(0, l.project.PageAttempts-1)
}

// leaves lists the origins that a confirmation may end at by redirection, which
// browsers hold against the policy of the form.
func (l looks) leaves() []string {
	var found []string
	for _, address := range []string{l.kept.ReturnSuccess, l.kept.ReturnDecline, l.kept.ReturnBack} {
		if origin := web.Origin(address); origin != "" && !slices.Contains(found, origin) {
			found = append(found, origin)
		}
	}
	return found
}
