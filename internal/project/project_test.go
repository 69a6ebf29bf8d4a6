package project_test

import (
	"slices"
	"testing"

	"aorta/internal/id"
	"aorta/internal/money"
	"aorta/internal/project"

	"pgregory.net/rapid"
)

func TestPaymentIDsAreComparedWithoutCase(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		same bool
	}{
		{a: "order_1", b: "order_1", same: true},
		{a: "order_1", b: "Order_1", same: true},
		{a: "order_1", b: "ORDER_1", same: true},
		{a: "заказ-Ж", b: "ЗАКАЗ-ж", same: true},
		{a: "order_1", b: "order_2"},
		{a: "order_1", b: "order-1"},
		{a: "order_1", b: "order_1 "},
	}
	for _, test := range tests {
		if same := project.FoldPaymentID(test.a) == project.FoldPaymentID(test.b); same != test.same {
			t.Errorf("%q and %q name one payment: %t, want %t", test.a, test.b, same, test.same)
		}
	}
}

func TestFoldingTwiceIsFoldingOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		once := project.FoldPaymentID(rapid.String().Draw(t, "payment id"))
		if twice := project.FoldPaymentID(once); twice != once {
			t.Fatalf("folded once %q, twice %q", once, twice)
		}
	})
}

func TestPaymentBucket(t *testing.T) {
	t.Parallel()
	shop := project.Project{ID: 200, MerchantID: 1}
	wallet := project.Project{ID: 200, MerchantID: 1, Wallet: true}
	sister := project.Project{ID: 201, MerchantID: 1, Wallet: true}
	rapid.Check(t, func(t *rapid.T) {
		pay, other := rapid.String().Draw(t, "payment"), rapid.String().Draw(t, "other payment")
		customer := rapid.StringN(1, -1, -1).Draw(t, "customer")
		of := func(p project.Project, paymentID, customerID string) id.Bucket {
			b := p.PaymentBucket(32, paymentID, customerID)
			if b >= 32 {
				t.Fatalf("PaymentBucket() = %d of 32", b)
			}
			return b
		}
		if of(shop, pay, customer) != of(shop, pay, "") {
			t.Fatal("in a shop a payment lies with its name, whoever pays")
		}
		if of(shop, pay, "") != of(shop, project.FoldPaymentID(pay), "") {
			t.Fatal("one payment under two spellings lies in two buckets")
		}
		if of(wallet, pay, customer) != of(wallet, other, customer) {
			t.Fatal("payments of one wallet lie in two buckets")
		}
		if of(wallet, pay, customer) != of(sister, pay, customer) {
			t.Fatal("one customer of two projects of a merchant lies in two buckets")
		}
		if of(wallet, pay, "") != of(shop, pay, "") {
			t.Fatal("without a customer a payment lies with its name")
		}
	})
}

// A name's bucket is computed anew at every request, so it must never change.
func TestPaymentBucketsAreForEver(t *testing.T) {
	t.Parallel()
	shop := project.Project{ID: 200, MerchantID: 1}
	wallet := project.Project{ID: 200, MerchantID: 1, Wallet: true}
	got := []id.Bucket{shop.PaymentBucket(32, "order_1", ""), shop.PaymentBucket(32, "order_2", ""), wallet.PaymentBucket(32, "order_1", "c1")}
	want := []id.Bucket{10, 1, 17}
	for n := range want {
		if got[n] != want[n] {
			t.Errorf("PaymentBucket() of case %d = %d, want %d for ever", n, got[n], want[n])
		}
	}
}

func TestPayee(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		wallet   bool
		customer string
		want     string
	}{
		{name: "shop", customer: "c1", want: "merchant:1"},
		{name: "shop, nobody named", want: "merchant:1"},
		{name: "wallet", wallet: true, customer: "c1", want: "customer:1:c1"},
		{name: "wallet, nobody named", wallet: true, want: "merchant:1"},
	}
	for _, test := range tests {
		p := project.Project{ID: 200, MerchantID: 1, Wallet: test.wallet}
		if got := p.Payee(test.customer); got != test.want {
			t.Errorf("%s: Payee(%q) = %q, want %q", test.name, test.customer, got, test.want)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	p := project.Project{ID: 200, Methods: []project.Method{
		{Code: "paytm-wallet", Group: "wallet", Segment: "paytm"},
		{Code: "upi", Group: "bank", Segment: "upi"},
		{Code: "card", Group: "card", Segment: "generic", Currency: "EUR", MaxMinor: 1},
		{Code: "card", Group: "card", Segment: "generic", Currency: "JPY", MaxMinor: 2},
	}}
	if m, ok := p.MethodIn("card", "JPY"); !ok || m.MaxMinor != 2 {
		t.Errorf("MethodIn(card, JPY) = %+v, %t, want the one in yen", m, ok)
	}
	if m, ok := p.MethodIn("card", "INR"); ok {
		t.Errorf("MethodIn(card, INR) = %+v, want none", m)
	}
	if got := p.CurrenciesOf("card"); !slices.Equal(got, []money.Currency{"EUR", "JPY"}) {
		t.Errorf("CurrenciesOf(card) = %v", got)
	}
	if m, ok := p.MethodByCode("upi"); !ok || m.Segment != "upi" {
		t.Errorf("MethodByCode(upi) = %+v, %t", m, ok)
	}
	if m, ok := p.MethodByCode("cash"); ok {
		t.Errorf("MethodByCode(cash) = %+v, want none", m)
	}
	if m, ok := p.MethodByPath("wallet", "paytm"); !ok || m.Code != "paytm-wallet" {
		t.Errorf("MethodByPath(wallet, paytm) = %+v, %t", m, ok)
	}
	if m, ok := p.MethodByPath("wallet", "upi"); ok {
		t.Errorf("MethodByPath(wallet, upi) = %+v, want none", m)
	}
	if p.RefScope() == (project.Project{ID: 20, MerchantID: 1}).RefScope() {
		t.Error("two projects share the scope of payment ids")
	}
}
