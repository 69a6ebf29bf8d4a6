package gate

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"aorta/internal/money"
	"aorta/internal/payment"
	"aorta/internal/redact"
	"aorta/internal/sign"
)

// kind is the type of a member.
type kind string

const (
	kindText    kind = "string"
	kindInteger kind = "integer"
	kindBool    kind = "boolean" // 0 and 1 too: signed, they are the same
	kindObject  kind = "object"
)

// rule is what one member of a request must be like. Members without a rule may be
// anything; they are signed and ignored (ecommpay.md section 3.3). So the rules
// below are of what is read, and of what a client would want to know to be wrong.
type rule struct {
	path     string
	steps    []string // path, taken apart by compile
	kind     kind
	required bool
	missing  code  // 0: codeMissing
	bad      code  // of a value that breaks max or want; 0: codeValidation
	max      int   // characters; 0 means 255
	most     int64 // of an integer, which then must not be negative; 0: any
	name     string
	want     func(string) bool // nil: any text
}

// broken tells how v breaks the rule. null and "" are as good as absent: signed,
// they are the same, and PHP plugins send them.
func (r rule) broken(v sign.Value) (problem, bool) {
	said := problem{field: r.path}
	switch v.Kind() {
	case sign.KindMissing, sign.KindNull:
		said.code, said.constraint = or(r.missing, codeMissing), "required"
		return said, r.required
	case sign.KindString:
		if r.kind != kindText {
			break
		}
		return r.brokenText(v.Text())
	case sign.KindNumber:
		if r.kind != kindInteger && r.kind != kindBool {
			break
		}
		n, err := v.Int()
		switch {
		case err != nil:
		case r.kind == kindBool && n != 0 && n != 1:
		case r.kind == kindInteger && r.most != 0 && (n < 0 || n > r.most):
			said.code, said.constraint = codeValidation, "0 to "+strconv.FormatInt(r.most, 10)
			return said, true
		default:
			return said, false
		}
	case sign.KindObject:
		if r.kind == kindObject {
			return said, false
		}
	case sign.KindList:
		// PHP writes an empty object as [], and signed both are nothing.
		if r.kind == kindObject && v.Len() == 0 {
			return said, false
		}
	case sign.KindBool:
		if r.kind == kindBool {
			return said, false
		}
	}
	said.code, said.constraint = codeMalformed, string(r.kind)
	return said, true
}

func (r rule) brokenText(value string) (problem, bool) {
	said := problem{field: r.path, code: or(r.bad, codeValidation), constraint: r.name}
	limit := r.max
	if limit == 0 {
		limit = maxText
	}
	switch {
	case value == "":
		said.code, said.constraint = or(r.missing, codeMissing), "required"
		return said, r.required
	case utf8.RuneCountInString(value) > limit:
		said.constraint = "max " + strconv.Itoa(limit)
		return said, true
	}
	return said, r.want != nil && !r.want(value)
}

// compile takes the paths apart, once for all requests.
func compile(rules []rule) []rule {
	for n := range rules {
		rules[n].steps = strings.Split(rules[n].path, ".")
	}
	return rules
}

func or(c, otherwise code) code {
	if c == 0 {
		return otherwise
	}
	return c
}

// maxText is the longest text where the documents name no other length.
const maxText = 255

// checkSchema holds a request against the rules of its endpoint, all of them, so
// that a merchant sees everything at once.
func (g *Gate) checkSchema(c *call) error {
	var problems []problem
	var broken map[string]bool // paths; a member of what is broken is not looked at
	for _, r := range g.rules[c.endpoint] {
		if len(r.steps) > 1 && broken[r.steps[0]] {
			continue
		}
		if r.path == "customer.id" && !c.project.CustomerOptional && c.endpoint == endpointSale {
			r.required = true
		}
		if p, bad := r.broken(c.doc.Get(r.steps...)); bad {
			problems = append(problems, p)
			if broken == nil {
				broken = map[string]bool{}
			}
			broken[r.path] = true
		}
	}
	if !broken["general.payment_id"] {
		c.paymentID = c.text("general", "payment_id")
	}
	if len(problems) > 0 {
		return invalid(problems...)
	}
	return nil
}

// text gives a member that the schema has found to be a text, or absent.
func (c *call) text(path ...string) string { return c.doc.Get(path...).Text() }

// has reports whether a member is there and says something.
func (c *call) has(path ...string) bool {
	v := c.doc.Get(path...)
	return v.Kind() == sign.KindNumber || v.Text() != ""
}

// general are the rules for what all requests about one payment share.
func general(insecure bool) []rule {
	return []rule{
		{path: "general.payment_id", kind: kindText, required: true, bad: codePaymentIDInvalid, name: "no ; and no control characters", want: isName},
		{path: "general.signature", kind: kindText},
		{path: "general.merchant_callback_url", kind: kindText, name: "an https address", want: callbackAddress(insecure)},
		{path: "general.merchant_success_callback_url", kind: kindText, name: "an https address", want: callbackAddress(insecure)},
		{path: "general.merchant_decline_callback_url", kind: kindText, name: "an https address", want: callbackAddress(insecure)},
		{path: "general.terminal_callback_url", kind: kindText},
		{path: "general.referrer_url", kind: kindText},
	}
}

func customer(addressRequired bool) []rule {
	rules := []rule{
		{path: "customer", kind: kindObject},
		{path: "customer.id", kind: kindText, missing: codeCustomerMissing, bad: codeCustomerInvalid, name: "no ; and no control characters", want: isName},
		{path: "customer.ip_address", kind: kindText, required: addressRequired, name: "an IP address", want: isIP},
	}
	for _, name := range []string{"first_name", "last_name", "middle_name", "email", "country", "city", "state", "address", "language"} {
		rules = append(rules, rule{path: "customer." + name, kind: kindText})
	}
	for _, name := range []string{"phone", "home_phone", "work_phone"} {
		rules = append(rules, rule{path: "customer." + name, kind: kindText, name: "4 to 24 digits", want: isPhone})
	}
	return append(rules, rule{path: "customer.zip", kind: kindText, max: 10})
}

func saleRules(insecure bool) []rule {
	rules := append(general(insecure), customer(true)...)
	return append(rules,
		rule{path: "payment", kind: kindObject},
		rule{path: "payment.amount", kind: kindInteger, required: true},
		rule{path: "payment.currency", kind: kindText, required: true, bad: codeCurrencyInvalid, name: "ISO 4217", want: isCurrency},
		rule{path: "payment.description", kind: kindText},
		rule{path: "payment.extra_param", kind: kindText},
		rule{path: "callback", kind: kindObject},
		rule{path: "callback.delay", kind: kindInteger, most: maxDelay},
		rule{path: "callback.force_disable", kind: kindBool},
		rule{path: "return_url", kind: kindObject},
		rule{path: "return_url.success", kind: kindText, max: maxReturnURL, name: "an http or https address", want: isAddress},
		rule{path: "return_url.decline", kind: kindText, max: maxReturnURL, name: "an http or https address", want: isAddress},
		rule{path: "return_url.return", kind: kindText, max: maxReturnURL, name: "an http or https address", want: isAddress},
	)
}

// maxDelay is how long callbacks may be put off, in seconds (ecommpay.md section 3.3).
const maxDelay = 600

// maxReturnURL: the documents name no length; browsers and proxies take this one.
const maxReturnURL = 2048

// refundRules leave the currency to the refund: whatever is not the payment's is
// answered alike.
func refundRules(insecure bool) []rule {
	rules := append(general(insecure), customer(false)...)
	return append(rules,
		rule{path: "payment", kind: kindObject},
		rule{path: "payment.description", kind: kindText, required: true},
		rule{path: "payment.amount", kind: kindInteger},
		rule{path: "payment.currency", kind: kindText, bad: codeRefundCurrency},
		rule{path: "payment.merchant_refund_id", kind: kindText, bad: codeMalformed, name: "no ; and no control characters", want: isName},
	)
}

func statusRules() []rule {
	return []rule{
		{path: "general.payment_id", kind: kindText, required: true, bad: codePaymentIDInvalid, name: "no ; and no control characters", want: isName},
		{path: "destination", kind: kindText},
	}
}

func requestStatusRules() []rule {
	return []rule{{path: "request_id", kind: kindText, required: true, max: 100}}
}

// isName holds for what may name a thing. A ";" would let two different requests
// sign alike (ecommpay.md section 1.1), a control character shows nowhere.
func isName(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r == ';' || unicode.IsControl(r) })
}

func isIP(value string) bool {
	ip, err := netip.ParseAddr(value)
	return err == nil && ip.Zone() == ""
}

func isPhone(value string) bool {
	return len(value) >= 4 && len(value) <= 24 && strings.Trim(value, "0123456789") == ""
}

func isCurrency(value string) bool {
	return len(value) == 3 && money.Currency(value).Valid()
}

// isAddress holds for absolute web addresses without a password in them.
func isAddress(value string) bool {
	u, err := url.Parse(value)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil
}

// callbackAddress: where a callback really goes is checked when it is dialled
// (security.md S20); here the merchant learns at once what can never work.
func callbackAddress(insecure bool) func(string) bool {
	return func(value string) bool {
		return isAddress(value) && (insecure || strings.HasPrefix(strings.ToLower(value), "https:"))
	}
}

// harmless refuses card data anywhere (security.md S24, S26), and what would read
// as one of our fields to some signers and not to us.
func harmless(doc *sign.Doc) error {
	ids := [...]sign.Value{doc.Get("general", "payment_id"), doc.Get("customer", "id")}
	for v := range doc.All() {
		key := v.Key()
		switch {
		case redact.HasCVVName(key):
			return invalid(problem{code: codeNotAllowed, field: v.Path(), constraint: "no card security codes"})
		case redact.FindPAN(key):
			return invalid(problem{code: codeNotAllowed, constraint: "no card numbers"})
		case holdsPAN(v):
			return invalid(problem{code: codeNotAllowed, field: v.Path(), constraint: "no card numbers"})
		case ambiguous(v) && !slices.Contains(ids[:], v): // the schema refuses any ";" in these two, by codes of their own
			return invalid(problem{code: codeMalformed, field: v.Path(), constraint: "reads as another field"})
		}
	}
	return nil
}

// holdsPAN looks for card numbers, but not in amounts, request ids and phone
// numbers: of such digits one in ten has a right check digit. No telephone number
// is as long as the card numbers of today.
func holdsPAN(v sign.Value) bool {
	switch v.Kind() {
	case sign.KindNumber:
		switch v.Key() {
		case "amount", "customer_amount", "tax_amount", "total_tax_amount":
			return false
		}
		return redact.FindPAN(v.Text())
	case sign.KindString:
		switch v.Key() {
		case "request_id":
			if payment.IsRequestID(v.Text()) {
				return false
			}
		case "phone", "home_phone", "work_phone":
			if len(v.Text()) <= maxPhone {
				return false
			}
		}
		return redact.FindPAN(v.Text())
	case sign.KindMissing, sign.KindNull, sign.KindBool, sign.KindList, sign.KindObject:
	}
	return false
}

// maxPhone is the length of the longest telephone numbers in use. Cards of 13
// digits are history.
const maxPhone = 13

// fields are the objects that we read. Only in them can a misread member matter.
var fields = [...]string{"general", "customer", "payment", "callback", "return_url"}

// ambiguous says whether a member could be one of our fields moved elsewhere. The
// signed text joins keys and values without escaping, so the description
// "x;payment:merchant_refund_id:r-1" signs as a description "x" and a refund id,
// and so does a key "payment:amount" (ecommpay.md section 1.1). Whoever has seen a
// refund could send it again without its name.
func ambiguous(v sign.Value) bool {
	if key := v.Key(); strings.ContainsAny(key, ":;") {
		path := v.Path()
		for _, f := range fields {
			if strings.HasPrefix(path, f+":") || strings.HasPrefix(path, f+".") {
				return true
			}
		}
		if strings.Contains(key, ";") {
			return true
		}
	}
	if value := v.Text(); strings.Contains(value, ";") {
		for _, f := range fields {
			if strings.Contains(value, ";"+f+":") {
				return true
			}
		}
	}
	return false
}
