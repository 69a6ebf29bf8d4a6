package sms_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"aorta/internal/customer"
	"aorta/internal/sms"
)

func phone(t *testing.T, text string) customer.Phone {
	t.Helper()
	p, err := customer.ParsePhone(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return p
}

// TestText: a wording that would not fit into one message, or hide the token from
// telephones, is refused when it is configured, not when a customer waits.
func TestText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 160-sms.CodeLength-sms.TokenLength-1)
	tests := []struct {
		name, template, wantErr string
	}{
		{name: "default", template: sms.DefaultText},
		{name: "token first", template: "{token} Code: {code}"},
		{name: "just one message", template: long + "{code} {token}"},
		{name: "one character more", template: long + "a{code} {token}", wantErr: "161 characters of GSM-7"},
		{name: "what costs two", template: long[1:] + "€{code} {token}", wantErr: "161 characters of GSM-7"},
		{name: "Hindi", template: "आपका कोड {code} है\n{token}"},
		{name: "just one of UCS-2", template: strings.Repeat("क", 70-sms.CodeLength-sms.TokenLength-1) + "{code} {token}"},
		{name: "one more", template: strings.Repeat("क", 71-sms.CodeLength-sms.TokenLength-1) + "{code} {token}", wantErr: "71 characters of UCS-2"},
		{name: "two units each", template: strings.Repeat("🔑", 27) + "{code} {token}", wantErr: "72 characters of UCS-2"},
		{name: "no code", template: "{token}", wantErr: "{code} once"},
		{name: "no token", template: "{code}", wantErr: "{token} once"},
		{name: "two codes", template: "{code} {code} {token}", wantErr: "{code} once"},
		{name: "token sticks", template: "{code}:{token}", wantErr: "stand alone"},
		{name: "token sticks behind", template: "{token}. {code}", wantErr: "stand alone"},
		{name: "control character", template: "{code}\t{token}", wantErr: "control characters"},
		{name: "not UTF-8", template: "{code} {token} \xff", wantErr: "UTF-8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text, err := sms.NewText(test.template)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("NewText = %v, want %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := text.Fill("204815", "Q7w8E9r0T1y")
			if err != nil || !strings.Contains(got, "204815") || !strings.Contains(got, "Q7w8E9r0T1y") || strings.ContainsAny(got, "{}") {
				t.Errorf("Fill = %q, %v", got, err)
			}
			if units, most, _ := sms.Length(got); units > most {
				t.Errorf("%q has %d units of %d", got, units, most)
			}
		})
	}
}

// TestToken: what is no matching token never gets into a message of ours.
func TestToken(t *testing.T) {
	t.Parallel()
	text, err := sms.NewText(sms.DefaultText)
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{"0123456789A", "AB12345678C", "Fa+9qCX9VSu", "abc/def-_=x"} {
		if got, err := text.Fill("123456", good); err != nil || !strings.HasSuffix(got, "\n"+good) {
			t.Errorf("Fill with %q = %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", "0123456789", "0123456789AB", "0123456789 ", "http://a.b/", "012345678é", "0123456789\n", "{code}12345"} {
		if got, err := text.Fill("123456", bad); !errors.Is(err, sms.ErrToken) || got != "" {
			t.Errorf("Fill with %q = %q, %v, want ErrToken", bad, got, err)
		}
	}
}

// TestNothingShown: neither a number nor a text can be printed by mistake.
func TestNothingShown(t *testing.T) {
	t.Parallel()
	m := sms.Message{To: phone(t, "+918067218010"), Text: "Your code is 204815.", Life: time.Minute}
	holder := struct {
		m  sms.Message
		p  *sms.Message
		to customer.Phone
	}{m, &m, m.To}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("sent", "message", m, "to", m.To, "both", holder.m.To)
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s %d", m, m, m, m, m), fmt.Sprintf("%v %+v %#v", m.To, m.To, m.To), fmt.Sprintf("%v %+v %#v", holder.to, holder.p, m.To), fmt.Sprint(struct{ to customer.Phone }{m.To}), log.String(),
	} {
		if strings.Contains(text, "8067218010") || strings.Contains(text, "204815") {
			t.Errorf("shown: %s", text)
		}
	}
}
