package api_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"aorta/internal/id"
	"aorta/internal/store/storetest"
)

const contactPath = "/v1/customers/c1/contact"

// TestContact: a phone is set, shown with most digits hidden, replaced and removed; its
// number is in no row.
func TestContact(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db storetest.DB) {
		h := newHouseOn(t, db)
		put := func(key, phone string) answer {
			return h.send(h.request(http.MethodPut, contactPath, fmt.Sprintf(`{"phone":%q}`, phone), "Idempotency-Key", key))
		}
		if a := h.get(contactPath); a.Code != 200 || a.Body.String() != `{"customer_id":"c1"}` {
			t.Errorf("before = %d %s", a.Code, a.Body)
		}
		const shown = `{"customer_id":"c1","phone":"+91••••••••10"}`
		first := put("k1", "+918067218010")
		if first.Code != 200 || first.Body.String() != shown {
			t.Fatalf("set = %d %s", first.Code, first.Body)
		}
		if a := put("k1", "+918067218010"); a.Code != 200 || a.Body.String() != shown || a.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("again = %d %s", a.Code, a.Body)
		}
		differs := put("k1", "+919800000002")
		wants(t, "another number under the key", differs, 409, "idempotency_conflict")
		if differs.text("details", "differs") != `["phone"]` {
			t.Errorf("differs = %s", differs.text("details"))
		}
		for _, bad := range []string{"", "8067218010", "+91 8067218010", "+0123456789"} {
			wants(t, bad, put("bad", bad), 422, "validation_failed")
		}
		if a := put("k2", "+919800000002"); a.Body.String() != `{"customer_id":"c1","phone":"+91••••••••02"}` {
			t.Errorf("replaced = %s", a.Body)
		}
		if got, err := h.flows.ContactOf(t.Context(), h.projects[200], "c1"); err != nil || got.Phone.Reveal() != "+919800000002" {
			t.Errorf("ContactOf = %v, %v", got, err)
		}
		if a := h.send(h.request(http.MethodDelete, contactPath, "", "Idempotency-Key", "k3")); a.Code != 200 || a.Body.String() != `{"customer_id":"c1"}` {
			t.Errorf("removed = %d %s", a.Code, a.Body)
		}
		answers, err := db.ScanAnswers(t.Context(), id.Answer{}, 100)
		if err != nil || len(answers) != 3 {
			t.Fatalf("%d answers, %v", len(answers), err)
		}
		notes, err := db.ScanNotes(t.Context(), id.Note{}, 100)
		if err != nil || len(notes) != 3 {
			t.Fatalf("%d notes, %v", len(notes), err)
		}
		for _, row := range answers {
			for _, number := range []string{"8067218010", "9800000002"} {
				if strings.Contains(fmt.Sprintf("%+v %+v", row, notes), number) {
					t.Errorf("a row has the number: %+v", row)
				}
			}
		}
		// There are few enough phones to try them all: no print of a request is one that
		// anybody can make.
		for _, number := range []string{"+918067218010", "+919800000002"} {
			plain := sha256.Sum256([]byte("s" + number))
			for _, row := range answers {
				if strings.Contains(row.Print, hex.EncodeToString(plain[:8])) {
					t.Errorf("the print gives the number away: %s", row.Print)
				}
			}
		}
	})
}
