package google

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The eight steps of the association (section 5.3), by redirect and by OTP.
var stepNames = map[string][8]string{
	byRedirect: {
		"A user wants to add an Aorta wallet.",
		"Google leads the browser to Aorta's page, with a signed request.",
		"The user says to Aorta who they are. Google need not know under what name.",
		"Aorta's page leads back, with the signed result.",
		"The page of Google hands the result to Google's server.",
		"Google's server calls associateAccount, with the proof, a new payment token and an associationId.",
		"Aorta keeps both with the account, and names the account.",
		"Aorta approves, and Google makes the instrument.",
	},
	byOTP: {
		"A user wants to add an Aorta wallet, and writes its phone number.",
		"Google's server calls sendOtp.",
		"Aorta sends a code to the phone, with Google's matching token.",
		"Aorta answers that the message is under way.",
		"The user writes the code at Google.",
		"Google's server calls associateAccount, with the code, a new payment token and an associationId.",
		"Aorta checks the code, keeps token and associationId with the account, and names the account.",
		"Aorta approves, and Google makes the instrument.",
	},
}

// changeInstrument changes one in one step.
func (p *Peer) changeInstrument(association string, fn func(i *instrument) bool) (instrument, error) {
	return change(p, &p.book.instruments, association, func(i *instrument) line { return line{Instrument: i} }, fn)
}

// reach notes that steps have been reached, as of now, unless they were before.
func (p *Peer) reach(i *instrument, note string, seq int64, steps ...int) {
	for _, n := range steps {
		i.Steps[n-1] = step{AtMS: p.clock().UnixMilli(), Note: note, Seq: seq}
	}
}

// newInstrument makes an instrument that is to be linked.
func (p *Peer) newInstrument(who user, way, phone string) (instrument, error) {
	i := instrument{
		AssociationID: p.name("assoc_"), GPT: p.token(), User: who.ID, Way: way, Phone: phone, State: pending, AtMS: p.clock().UnixMilli(),
	}
	p.reach(&i, who.Email, 0, 1)
	return i, p.keep(line{Instrument: &i})
}

// maxURL is as long as a redirect's address may be (section 3.4).
const maxURL = 2048

// redirect makes the address of the integrator's page for a session, which it keeps.
func (p *Peer) redirect(ctx context.Context, s session) (string, error) {
	asked := object{"requestId": s.ID}
	query := url.Values{"gspMajorVersion": {"1"}, "gspCallbackUrl": {p.opts.Own() + "/google/callback?" + url.Values{"session": {s.ID}}.Encode()}}
	if s.Named {
		asked["associationId"] = s.AssociationID
		query.Set("gspAssociationId", s.AssociationID)
	}
	plain, err := json.Marshal(asked)
	if err != nil {
		return "", err
	}
	text, err := p.sealed(ctx, plain)
	if err != nil {
		return "", err
	}
	query.Set("gspAuthenticationRequest", text)
	address := p.opts.Integrator.Page + "?" + query.Encode()
	if len(address) > maxURL {
		return "", errors.New("the redirect's address has " + strconv.Itoa(len(address)) + " characters: more than a browser must bear")
	}
	if err := p.keep(line{Session: &s}); err != nil {
		return "", err
	}
	seq := p.log.add(exchange{AtMS: p.clock().UnixMilli(), Outward: true, Method: "redirect", ID: s.ID, Asked: string(plain), Status: http.StatusSeeOther})
	if s.For == forLink {
		_, err = p.changeInstrument(s.AssociationID, func(i *instrument) bool {
			p.reach(i, "", seq, 2)
			return true
		})
	}
	return address, err
}

// startLink begins to link by redirect, and gives where the browser goes.
func (p *Peer) startLink(ctx context.Context, who user) (address string, err error) {
	i, err := p.newInstrument(who, byRedirect, "")
	if err != nil {
		return "", err
	}
	id := p.name("rdr-")
	if _, err := p.changeInstrument(i.AssociationID, func(i *instrument) bool { i.Proof = id; return true }); err != nil {
		return "", err
	}
	return p.redirect(ctx, session{ID: id, AssociationID: i.AssociationID, For: forLink})
}

// startAgain has a user say again who they are: to refresh, or for a purchase.
func (p *Peer) startAgain(ctx context.Context, association, why, product string) (address string, err error) {
	i, err := find(p, &p.book.instruments, association)
	if err != nil {
		return "", err
	}
	if i.State != active && i.State != refreshNeeded {
		return "", errors.New("this wallet is not linked")
	}
	return p.redirect(ctx, session{ID: p.name("rdr-"), AssociationID: association, Named: true, For: why, Product: product})
}

// back takes the browser's return from the integrator's page. Nothing in the
// address is believed but what is signed in it, and that must say what the
// request said. It gives what to tell the user, who has that session's.
func (p *Peer) back(ctx context.Context, query url.Values) (says string, who string) {
	s, err := find(p, &p.book.sessions, query.Get("session"))
	if err != nil {
		return "That redirect is not one of Google's.", ""
	}
	i, err := find(p, &p.book.instruments, s.AssociationID)
	if err != nil {
		return err.Error(), ""
	}
	e := exchange{AtMS: p.clock().UnixMilli(), Method: "redirect back", ID: s.ID, Status: http.StatusFound}
	result, text := query.Get("gspResult"), query.Get("gspAuthenticationResponse")
	plain, err := p.open(ctx, []byte(text))
	if err == nil {
		e.Asked = string(plain)
		err = s.matches(plain, result)
	}
	if err != nil {
		e.Trouble = err.Error()
		p.log.add(e)
		return "Aorta's page has led back with something that cannot be believed: " + err.Error(), i.User
	}
	seq := p.log.add(e)
	fresh := false
	if s, err = change(p, &p.book.sessions, s.ID, func(s *session) line { return line{Session: s} }, func(s *session) bool {
		fresh, s.Done = !s.Done, true
		return fresh
	}); err != nil {
		return err.Error(), i.User
	}
	if !fresh {
		return s.Says, i.User // the back button, or a reload
	}
	switch {
	case result == "201":
		says = "You have cancelled at Aorta."
	case result != "100":
		says = "Aorta could not say who you are."
	case s.For == forLink:
		if _, err := p.changeInstrument(i.AssociationID, func(i *instrument) bool {
			p.reach(i, "", seq, 3, 4, 5)
			return true
		}); err != nil {
			return err.Error(), i.User
		}
		says = p.associate(ctx, i.AssociationID, object{"authenticationRequestId": s.ID})
	case s.For == forRefresh:
		says = p.refresh(ctx, i.AssociationID, s.ID)
	case s.For == forBuy:
		says = p.buy(ctx, i.AssociationID, s.Product, false, object{"authenticationRequestId": s.ID})
	}
	if result != "100" && s.For == forLink {
		_, err = p.changeInstrument(i.AssociationID, func(i *instrument) bool {
			p.reach(i, "gspResult "+result, seq, 4)
			i.State, i.Code = refused, says
			return true
		})
	}
	if err == nil {
		_, err = change(p, &p.book.sessions, s.ID, func(s *session) line { return line{Session: s} }, func(s *session) bool { s.Says = says; return true })
	}
	if err != nil {
		return err.Error(), i.User
	}
	return says, i.User
}

// matches checks the signed response against the request and gspResult.
func (s session) matches(plain []byte, result string) error {
	body, err := strict(plain)
	if err != nil {
		return err
	}
	want, known := map[string]string{"100": "success", "201": "cancelled", "202": "fatalError"}[result]
	if !known {
		return errors.New("gspResult is " + strconv.Quote(result))
	}
	if body.text("requestId") != s.ID {
		return errors.New("its requestId is another")
	}
	if _, has := body["associationId"]; (s.Named || has) && body.text("associationId") != s.AssociationID {
		return errors.New("its associationId is another")
	}
	outcome := body.object("authenticationResult")
	if _, as := outcome[want]; !as || len(outcome) != 1 {
		return errors.New("its authenticationResult is not " + want)
	}
	return nil
}

// sendCode begins to link by OTP: the integrator sends a code to the phone.
func (p *Peer) sendCode(ctx context.Context, who user, phone string) (association, says string, err error) {
	i, err := p.newInstrument(who, byOTP, phone)
	if err != nil {
		return "", "", err
	}
	id := p.name("otp-")
	a, err := p.call(ctx, call{Method: "sendOtp", ID: id, Members: object{
		"accountPhoneNumber": phone, "smsMatchingToken": p.token()[:11], "otpContext": object{"association": object{}},
	}})
	if err != nil {
		return "", "", err
	}
	says = "Aorta does not send a code: " + a.says()
	_, err = p.changeInstrument(i.AssociationID, func(i *instrument) bool {
		i.Proof = id
		p.reach(i, a.says(), a.Seq, 2)
		if a.ok() && a.result() == "SUCCESS" {
			p.reach(i, "", a.Seq, 3, 4)
			says = "A code is on its way to " + phone + "."
		} else if a.ok() {
			i.State, i.Code = refused, a.result()
		}
		return true
	})
	return i.AssociationID, says, err
}

// enterCode goes on with the code that the user has read.
func (p *Peer) enterCode(ctx context.Context, association, code string) string {
	i, err := p.changeInstrument(association, func(i *instrument) bool {
		p.reach(i, "", 0, 5)
		return true
	})
	if err != nil {
		return err.Error()
	}
	return p.associate(ctx, association, object{"otpVerification": object{"sendOtpRequestId": i.Proof, "otp": code}})
}

// verifyCode tries a code alone (section 3.3).
func (p *Peer) verifyCode(ctx context.Context, association, code string) string {
	i, err := find(p, &p.book.instruments, association)
	if err != nil {
		return err.Error()
	}
	a, err := p.call(ctx, call{Method: "verifyOtp", ID: p.name("otv-"), Members: object{"sendOtpRequestId": i.Proof, "otp": code}})
	if err != nil {
		return err.Error()
	}
	return "verifyOtp: " + a.says()
}

// associate calls associateAccount with a proof, and makes the instrument.
func (p *Peer) associate(ctx context.Context, association string, proof object) string {
	id := p.name("asc-")
	i, err := p.changeInstrument(association, func(i *instrument) bool {
		if i.State != pending {
			return false
		}
		i.GPT, i.Call = p.token(), id // what a decline has seen is never used again
		return true
	})
	if err != nil {
		return err.Error()
	}
	if i.State != pending {
		return "This wallet is " + i.State + " already."
	}
	members := object{"googlePaymentToken": i.GPT, "associationId": i.AssociationID, "provideUserInformation": true}
	for name, v := range proof {
		members[name] = v
	}
	a, err := p.call(ctx, call{Method: "associateAccount", ID: id, Members: members})
	if err != nil {
		return err.Error()
	}
	return p.associated(association, a)
}

// associated takes the answer of associateAccount, of the first call or a repeat.
func (p *Peer) associated(association string, a answer) string {
	says := "Not linked: " + a.says()
	_, err := p.changeInstrument(association, func(i *instrument) bool {
		p.reach(i, a.says(), a.Seq, 6)
		switch account := a.Body.text("accountId"); {
		case !a.ok():
		case i.State != pending:
			says = "This wallet is " + i.State + " already."
		case a.result() == "SUCCESS" && (account == "" || a.Body.text("accountNickname") == ""):
			says = "Not linked: SUCCESS without accountId and accountNickname"
		case a.result() == "SUCCESS":
			i.State, i.AccountID, i.Nickname = active, account, a.Body.text("accountNickname")
			i.ExpiresMS, _ = a.Body.integer("tokenExpirationTime")
			p.reach(i, i.AccountID, a.Seq, 7, 8)
			says = "Linked: " + i.Nickname + "."
		case !strings.HasPrefix(a.result(), "OTP_"):
			i.State, i.Code = refused, a.result() // after a wrong code the user may write another
		}
		return true
	})
	if err != nil {
		return err.Error()
	}
	return says
}

// refresh calls refreshToken with a proof.
func (p *Peer) refresh(ctx context.Context, association, proof string) string {
	i, err := find(p, &p.book.instruments, association)
	if err != nil {
		return err.Error()
	}
	a, err := p.call(ctx, call{Method: "refreshToken", ID: p.name("rfr-"), Members: object{"googlePaymentToken": i.GPT, "authenticationRequestId": proof}})
	if err != nil {
		return err.Error()
	}
	if !a.ok() || a.result() != "SUCCESS" {
		return "Not refreshed: " + a.says()
	}
	if _, err := p.changeInstrument(association, func(i *instrument) bool {
		i.State = active
		i.ExpiresMS, _ = a.Body.integer("tokenExpirationTime")
		return true
	}); err != nil {
		return err.Error()
	}
	return "Refreshed: the wallet can be paid with again."
}

// linkedOf gives a user's instruments, the newest first.
func (p *Peer) linkedOf(who string) []instrument {
	all := read(p, func(b *book) []instrument { return b.instruments.all() })
	all = slices.DeleteFunc(all, func(i instrument) bool { return i.User != who })
	slices.Reverse(all)
	return all
}
