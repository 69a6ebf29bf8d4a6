package redact_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"aorta/internal/id"
	"aorta/internal/redact"
)

// cards are the public test numbers of each scheme.
var cards = map[string]string{
	"Visa":             "4111111111111111",
	"Visa of 13":       "4222222222222",
	"Visa of 19":       "4000000000000000006",
	"Mastercard":       "5555555555554444",
	"Mastercard 2":     "2223003122003222",
	"American Express": "378282246310005",
	"Diners Club":      "30569309025904",
	"Diners Club 36":   "36227206271667",
	"Discover":         "6011111111111117",
	"Discover 65":      "6510000000000000",
	"JCB":              "3530111333300000",
	"UnionPay":         "6200000000000005",
	"UnionPay of 19":   "6205500000000000004",
	"Maestro":          "6304000000000000",
	"Maestro of 18":    "501800000000000009",
	"Mir":              "2200000000000004",
	"RuPay":            "6073849700004947",
	"RuPay 508":        "5085000000000008",
}

func TestFindPANSchemes(t *testing.T) {
	t.Parallel()
	for name, number := range cards {
		number = withCheckDigit(number[:len(number)-1])
		if !redact.FindPAN(number) {
			t.Errorf("%s: FindPAN(%q) = false", name, number)
		}
		other := number[:len(number)-1] + string('0'+(number[len(number)-1]-'0'+1)%10)
		if redact.FindPAN(other) {
			t.Errorf("%s with a wrong check digit: FindPAN(%q) = true", name, other)
		}
	}
}

// withCheckDigit is written apart from the package on purpose: digit by digit.
func withCheckDigit(payload string) string {
	for digit := range 10 {
		number, sum := payload+strconv.Itoa(digit), 0
		for i, c := range number {
			d := int(c - '0')
			if (len(number)-i)%2 == 0 {
				d = d*2/10 + d*2%10
			}
			sum += d
		}
		if sum%10 == 0 {
			return number
		}
	}
	panic("unreachable: one of ten digits is right")
}

func TestFindPANAndText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		text string
		want string // what Text makes of it; "" where there is no card
	}{
		{name: "alone", text: "4111111111111111", want: "411111******1111"},
		{name: "spaces", text: "4111 1111 1111 1111", want: "4111 11** **** 1111"},
		{name: "dashes", text: "4111-1111-1111-1111", want: "4111-11**-****-1111"},
		{name: "dots", text: "4111.1111.1111.1111", want: "4111.11**.****.1111"},
		{name: "wide separators", text: "4111 - 1111 - 1111 - 1111", want: "4111 - 11** - **** - 1111"},
		{name: "digit by digit", text: "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", want: "4 1 1 1 1 1 * * * * * * 1 1 1 1"},
		{name: "odd groups", text: "3782 822463 10005", want: "3782 82**** *0005"},
		{name: "in a sentence", text: "card 4111111111111111.", want: "card 411111******1111."},
		{name: "after a word", text: "card4111111111111111", want: "card411111******1111"},
		{name: "before a word", text: "4111111111111111INR", want: "411111******1111INR"},
		{name: "in JSON", text: `{"n":"4111111111111111","c":"x"}`, want: `{"n":"411111******1111","c":"x"}`},
		{name: "in a query", text: "a=4111111111111111&b=1", want: "a=411111******1111&b=1"},
		{name: "number before it", text: "order 12 4111 1111 1111 1111", want: "order 12 4111 11** **** 1111"},
		{name: "number behind it", text: "4111 1111 1111 1111 12/30", want: "4111 11** **** 1111 12/30"},
		{name: "time before it", text: "15:13:02.0 4111 1111 1111 1111", want: "15:13:02.0 4111 11** **** 1111"},
		{name: "two", text: "4111111111111111,5555555555554444", want: "411111******1111,555555******4444"},
		{name: "two apart by a space", text: "4111111111111111 5555555555554444", want: "411111******1111 555555******4444"},
		{name: "thirteen digits", text: "4222222222222", want: "422222***2222"},
		{name: "non-ASCII around it", text: "₹4111111111111111€", want: "₹411111******1111€"},

		{name: "empty", text: ""},
		{name: "longer run", text: "41111111111111111"},
		{name: "inside a longer run", text: "00000000004111111111111111000"},
		{name: "Luhn alone", text: "1234567890123452"},
		{name: "right prefix, wrong length", text: withCheckDigit("41111111111111")},
		{name: "too far apart", text: "4111    1111    1111    1111"},
		{name: "other separators", text: "4111,1111,1111,1111"},
		{name: "inside a hash", text: "a4111111111111111f"},
		{name: "masked already", text: "411111******1111"},
		{name: "phone", text: "+91 98000 00000"},
		{name: "Paytm transaction", text: "20261121111212800110168123456789012"},
		{name: "operation id", text: "49572000001893"},
		{name: "RFC 3339", text: "2026-11-21T15:13:02.000000+05:30"},
		{name: "our id, digits at its end", text: "pay_01k4abcdef4111111111111111"},
		{name: "UUID", text: "1d1c3751-4018-4010-9892-4a370cd1bf1c"},
		{name: "UUID, its end, in capitals", text: "order 35631984-0987-4521-8F86-26C14ADB493F."},
		{name: "our id, in a path", text: "/v1/payments/pay_01k4abcdef4111111111111111/refunds"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want, found := tt.want, tt.want != ""
			if !found {
				want = tt.text
			}
			if got := redact.FindPAN(tt.text); got != found {
				t.Errorf("FindPAN(%q) = %v, want %v", tt.text, got, found)
			}
			if got := redact.Text(tt.text); got != want {
				t.Errorf("Text(%q) = %q, want %q", tt.text, got, want)
			}
		})
	}
}

func TestTimestampsAreNoCards(t *testing.T) {
	t.Parallel()
	// One in 9,973 milliseconds of three years, and the same in other units.
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for at := start; at.Before(start.AddDate(3, 0, 0)); at = at.Add(9973 * 100 * time.Millisecond) {
		for _, text := range []string{
			strconv.FormatInt(at.UnixMilli(), 10), strconv.FormatInt(at.UnixMicro(), 10), strconv.FormatInt(at.UnixNano(), 10),
			at.Format("20060102150405"), at.Format("2006-01-02 15.04.05.000"), at.Format("2006-01-02T15:04:05.000000Z07:00"),
		} {
			if redact.FindPAN(text) {
				t.Fatalf("FindPAN(%q) = true", text)
			}
		}
	}
}

func TestUUIDsAreNoCards(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		a, b := random.Uint64()&^0xf000|0x4000, random.Uint64()&^(3<<62)|1<<63
		if text := fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&(1<<48-1)); redact.FindPAN(text) {
			t.Fatalf("FindPAN(%q) = true", text)
		}
	}
	// What only resembles one is looked at.
	for _, text := range []string{
		"4111-1111-1111-1111", "deadbeef-4111-1111-1111-1111deadbeef", "1d1c3751-4018-4010-9892-4a370cd1bf1c 4111111111111111",
	} {
		if !redact.FindPAN(text) {
			t.Errorf("FindPAN(%q) = false", text)
		}
	}
}

func TestOurIDsAreNoCards(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var raw id.Raw
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		if text := id.Payment(raw).String(); redact.FindPAN(text) {
			t.Fatalf("FindPAN(%q) = true", text)
		}
	}
}

// torture.md line 8: prefix and length leave 1.5 to 4.5 % of random strings.
func TestRandomDigitsRate(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	const tries = 100_000
	for length := 13; length <= 19; length++ {
		hits := 0
		for range tries {
			digits := make([]byte, length)
			for i := range digits {
				digits[i] = byte('0' + random.IntN(10))
			}
			if redact.FindPAN(string(digits)) {
				hits++
			}
		}
		if percent := 100 * float64(hits) / tries; percent > 4.5 {
			t.Errorf("%.2f %% of random strings of %d digits are taken for cards", percent, length)
		}
	}
}

func TestHasCVVName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"cvv", "CVV", "cvc", "cvn", "csc", "card_security_code", "cardSecurityCode", "card.cvv", "card[cvv]", "CVV2",
		"cvv_code", "cc-csc", "card_cvc", "security_code", "payment.card.card_verification_value",
	} {
		if !redact.HasCVVName(name) {
			t.Errorf("HasCVVName(%q) = false", name)
		}
	}
	for _, name := range []string{"", "cvc_check", "cvv_result", "card", "code", "cc", "csc_center", "verification_code", "cvv.x", "security", "receive"} {
		if redact.HasCVVName(name) {
			t.Errorf("HasCVVName(%q) = true", name)
		}
	}
}

type valuer string

func (v valuer) LogValue() slog.Value { return slog.StringValue(string(v)) }

type panicker struct{ Name string }

func (panicker) MarshalJSON() ([]byte, error) { panic("no JSON of this") }

func TestHandler(t *testing.T) {
	t.Parallel()
	const canary = "4111111111111111"
	card, _ := strconv.ParseInt(canary, 10, 64)
	nested := struct{ Inner *struct{ Number string } }{&struct{ Number string }{canary}}
	for name, next := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log := slog.New(redact.Handler(next(&out)))
			log.With("with", canary).WithGroup("group").With("inner", canary).Info("paid by "+canary,
				"string", canary, "int", card, "uint", uint64(card), "error", fmt.Errorf("x: %w", errors.New(canary)),
				"bytes", []byte(canary), "raw", json.RawMessage(`"`+canary+`"`), "panics", panicker{"x"}, "noJSON", func() {},
				"list", []string{canary}, "map", map[string]any{"n": card}, "struct", nested,
				"valuer", valuer(canary), "group", slog.GroupValue(slog.String("deep", canary)), canary, "key",
				"spaced", "4111 1111 1111 1111", "cvv", "987", slog.Group("card", slog.Int("cvc", 987)),
				"kept", 42, "took", 3*time.Second, "nil", nil)
			got := out.String()
			for _, leak := range []string{canary, "1111 1111", "NDExMTExMTExMTExMTExMQ", "987"} {
				if strings.Contains(got, leak) {
					t.Errorf("%q shows in %s", leak, got)
				}
			}
			for _, kept := range []string{"paid by 411111******1111", "42", "with", "deep", "took"} {
				if !strings.Contains(got, kept) {
					t.Errorf("%q is missing in %s", kept, got)
				}
			}
			if log.Enabled(context.Background(), slog.LevelDebug) {
				t.Error("Enabled does not ask the next handler")
			}
		})
	}
}

func FuzzText(f *testing.F) {
	for _, number := range cards {
		f.Add(number)
	}
	f.Add("15:13:02.0 4111 1111 1111 1111 / 123456789 4111111111111111")
	f.Add("pay_01k4abcdef4111111111111111")
	f.Fuzz(func(t *testing.T, text string) {
		clean := redact.Text(text)
		if redact.FindPAN(clean) {
			t.Fatalf("Text(%q) = %q, which still holds a card", text, clean)
		}
		if redact.FindPAN(text) != (clean != text) {
			t.Fatalf("FindPAN(%q) = %v, but Text = %q", text, redact.FindPAN(text), clean)
		}
		if len(clean) != len(text) {
			t.Fatalf("Text(%q) = %q changes more than digits", text, clean)
		}
		for i := range len(text) {
			if clean[i] != text[i] && (clean[i] != '*' || text[i] < '0' || text[i] > '9') {
				t.Fatalf("Text(%q) = %q changes more than digits", text, clean)
			}
		}
		redact.HasCVVName(text)
	})
}

func BenchmarkFindPAN(b *testing.B) {
	text := strings.Repeat(`{"payment":{"id":"order-20260102-000001","amount":250000},"phone":"919800000000"}`, 12)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if redact.FindPAN(text) {
			b.Fatal("found")
		}
	}
}
