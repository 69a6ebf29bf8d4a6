package paypage

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aorta/internal/redact"
	"aorta/internal/sign"
)

// maxAmount is the protocol's bound for payment_amount; methods have their own.
const maxAmount = 10_000_000_000_000

// rule is what a parameter must look like. It answers what is wrong, or "".
type rule func(text string) string

// rules are the parameters of ecommpay.md 2.2 that we can read. Whatever else
// comes is signed and ignored, as is a parameter that comes empty: libraries send
// what a shop has left blank.
var rules = []struct {
	names string
	rule
}{
	{"project_id", integer(1, 1<<32-1)},
	{"payment_id customer_id", name},
	{"payment_amount", integer(1, maxAmount)},
	{"payment_currency", matching(`^[A-Z]{3}$`, "must be an ISO 4217 code in capitals")},
	{"payment_description", text(255)},
	{"mode", supported("purchase")},
	{"operation_type card_operation_type", supported("sale")},
	{"force_payment_method default_payment_method force_payment_group force_payment_method_subtype", text(64)},
	{"hide", text(1024)},
	{"language_code", matching(`^[A-Za-z]{2}([-_][A-Za-z]{2})?$`, "must be an ISO 639-1 code")},
	{"region_code customer_country billing_country", matching(`^[A-Za-z]{2}$`, "must be an ISO 3166-1 alpha-2 code")},
	{"best_before", instant},
	{callbackField, address(255)},
	{"merchant_success_url merchant_fail_url merchant_return_url", address(maxAddress)},
	{"redirect_success_url redirect_fail_url redirect_return_url redirect_tokenize_url", address(maxAddress)},
	{"merchant_success_enabled merchant_fail_enabled merchant_return_enabled", oneOf("0", "1", "2")},
	{"redirect_success_enabled redirect_fail_enabled", oneOf("0", "1", "2")},
	{"merchant_success_redirect_mode merchant_fail_redirect_mode merchant_return_redirect_mode", oneOf("iframe", "parent_page", "blank_page")},
	{"redirect_success_mode redirect_fail_mode", oneOf("iframe", "parent_page", "blank_page")},
	{"redirect_tokenize_mode", oneOf("iframe", "parent_page")},
	{"redirect redirect_on_mobile close_on_missclick recurring_register", flag},
	{"target_element css_modal_wrap baseUrl baseurl merchant_domain style_id terminal_id", text(255)},
	{"account_token", matching(`^[0-9A-Za-z]{64}$`, "must have 64 letters and digits")},
	{"recurring payment_methods_options", jsonText},
	{"customer_first_name customer_last_name customer_middle_name customer_email customer_state customer_city", text(255)},
	{"customer_address customer_zip customer_ssn billing_address billing_city billing_postal billing_region", text(255)},
	{"billing_region_code avs_post_code avs_street_address", text(255)},
	{"customer_phone", matching(`^[0-9]{4,24}$`, "must have 4 to 24 digits")},
	{"customer_day_of_birth", birthday},
	{encodedNames, encodedJSON},
	{"payment_extra_param merchant_data", text(4096)},
	{"moto_type", oneOf("1", "2")},
	{"descriptor", text(13)},
	{"uuid", text(64)},
}

// encodedNames are the parameters that carry JSON in base64, which nobody reads here.
const encodedNames = "receipt_data booking_info addendum_data cash_voucher_data customer_account_info customer_shipping " +
	"customer_mpi_result payment_merchant_risk"

// callbackField is the one address that we call ourselves.
const callbackField = "merchant_callback_url"

// maxAddress bounds an address for browsers, in characters.
const maxAddress = 2048

// required are the parameters of a purchase that cannot be missing, but for
// customer_id, which a project may leave out.
var required = []string{"project_id", "payment_id", "payment_amount", "payment_currency", "customer_id"}

// validate lists what is wrong with the parameters, in the order of the table.
func (p *Page) validate(doc *sign.Doc, customerOptional bool) []problem {
	var found []problem
	for _, field := range required {
		if doc.Get(field).Text() == "" && doc.Get(field).Kind() != sign.KindObject && (field != "customer_id" || !customerOptional) {
			found = append(found, problem{field, "is required"})
		}
	}
	for _, r := range rules {
		for field := range strings.FieldsSeq(r.names) {
			v := doc.Get(field)
			switch {
			case v.Kind() == sign.KindObject:
				// {"a":{"b":"c"}} and {"a":"b:c"} sign alike: an object is never a text.
				found = append(found, problem{field, "must be a plain value"})
			case v.Text() != "":
				wrong := r.rule(v.Text())
				if field == callbackField && wrong == "" && !p.opts.AllowInsecureCallbacks {
					wrong = secure(v.Text())
				}
				if wrong != "" {
					found = append(found, problem{field, wrong})
				}
			}
		}
	}
	return found
}

func integer(lowest, highest int64) rule {
	wrong := fmt.Sprintf("must be an integer from %d to %d", lowest, highest)
	return func(text string) string {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < lowest || n > highest || text[0] < '1' || text[0] > '9' {
			return wrong
		}
		return ""
	}
}

func text(most int) rule {
	wrong := fmt.Sprintf("must have at most %d characters", most)
	return func(text string) string {
		if utf8.RuneCountInString(text) > most {
			return wrong
		}
		return ""
	}
}

// name is an id of the merchant's. ";" has been refused before.
func name(text string) string {
	if utf8.RuneCountInString(text) > 255 || strings.ContainsFunc(text, unicode.IsControl) {
		return "must have 1 to 255 characters, none of them a control character"
	}
	return ""
}

func matching(pattern, wrong string) rule {
	re := regexp.MustCompile(pattern)
	return func(text string) string {
		if !re.MatchString(text) {
			return wrong
		}
		return ""
	}
}

func oneOf(words ...string) rule {
	return func(text string) string {
		if !slices.Contains(words, text) {
			return "must be one of " + strings.Join(words, ", ")
		}
		return ""
	}
}

// supported is oneOf for words of the protocol that no method of ours can do yet.
func supported(words ...string) rule {
	return func(text string) string {
		if !slices.Contains(words, text) {
			return "is not supported: only " + strings.Join(words, ", ")
		}
		return ""
	}
}

// flag takes the libraries' notations of yes and no.
func flag(text string) string { return oneOf("0", "1", "true", "false")(strings.ToLower(text)) }

// address is one that a browser or a callback may be sent to: never javascript:,
// never one with a password in it.
func address(most int) rule {
	wrong := fmt.Sprintf("must be an http or https URL without user name, of at most %d characters", most)
	return func(text string) string {
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil || utf8.RuneCountInString(text) > most ||
			strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == ' ' || r == '\\' }) {
			return wrong
		}
		return ""
	}
}

// secure is the rule of a callback's address besides address.
func secure(text string) string {
	if len(text) < len("https:") || !strings.EqualFold(text[:len("https:")], "https:") {
		return "must be an https URL"
	}
	return ""
}

// instants are the notations of best_before: with +hh, +hhmm and +hh:mm or Z.
var instants = []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07"}

func parseInstant(text string) (time.Time, bool) {
	// A "+" that the merchant did not escape arrives as a space.
	text = strings.Replace(text, " ", "+", 1)
	for _, layout := range instants {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func instant(text string) string {
	if _, ok := parseInstant(text); !ok {
		return "must be a time as YYYY-MM-DDThh:mm:ss+hh:mm"
	}
	return ""
}

func birthday(text string) string {
	if _, err := time.Parse("02-01-2006", text); err != nil {
		return "must be a date as DD-MM-YYYY"
	}
	return ""
}

func jsonText(text string) string {
	if !json.Valid([]byte(text)) {
		return "must be JSON"
	}
	return ""
}

func encodedJSON(text string) string {
	plain, ok := decodeBase64(text)
	if !ok || !json.Valid(plain) {
		return "must be base64 of JSON"
	}
	return ""
}

// decodeBase64 takes both alphabets, with and without padding. An unescaped "+"
// arrives as a space.
func decodeBase64(text string) ([]byte, bool) {
	text = strings.TrimRight(strings.NewReplacer(" ", "+", "-", "+", "_", "/").Replace(text), "=")
	plain, err := base64.RawStdEncoding.DecodeString(text)
	return plain, err == nil
}

// neverCards are fields of digits that are no card numbers (S24: not a field
// typed as amount, time or id of ours).
var neverCards = []string{"project_id", "payment_amount", "best_before", "signature"}

// holdsCard says whether a card number or security code is anywhere in the
// parameters, also in what is merely passed through in base64.
func holdsCard(doc *sign.Doc) bool {
	for v := range doc.All() {
		if redact.HasCVVName(v.Key()) || redact.FindPAN(v.Key()) {
			return true
		}
		if v.Text() == "" || slices.Contains(neverCards, v.Path()) {
			continue
		}
		if redact.FindPAN(v.Text()) {
			return true
		}
	}
	for field := range strings.FieldsSeq(encodedNames) {
		if plain, ok := decodeBase64(doc.Get(field).Text()); ok && redact.FindPAN(string(plain)) {
			return true
		}
	}
	return false
}
