package paytm

import (
	"context"
	"encoding/json"
	"fmt"

	"aorta/internal/sandbox/desk"
)

// letter is what is told of a record, signed; forged: with another key. Each
// attempt has its own salt.
func (s *Simulator) letter(r record, forged bool) (desk.Letter, error) {
	body, err := json.Marshal(r.notification())
	if err != nil {
		return desk.Letter{}, err
	}
	signer := r.account().key
	if forged {
		signer = r.account().forged
	}
	version := ""
	if r.refund != nil {
		version = `,"version":"v1"` // only the refund pages show it
	}
	return desk.Letter{Body: fmt.Appendf(nil, `{"head":{"signature":"%s"%s},"body":%s}`, signer.Checksum(body, s.salt()), version, body)}, nil
}

// TellAll tells at once what the platform has not taken yet; see desk.TellAll.
func (s *Simulator) TellAll(ctx context.Context) (told, taken int) { return s.desk.TellAll(ctx) }

// paymentNotice is the body of a payment-status notification [S].
type paymentNotice struct {
	MID         string `json:"mid"`
	OrderID     string `json:"orderId"`
	TxnID       string `json:"txnId"`
	TxnAmount   string `json:"txnAmount"`
	Currency    string `json:"currency"`
	Status      string `json:"status"`
	RespCode    string `json:"respCode"`
	RespMsg     string `json:"respMsg"`
	TxnType     string `json:"txnType"`
	PaymentMode string `json:"paymentMode"`
	BankTxnID   string `json:"bankTxnId"`
	BankName    string `json:"bankName"`
	TxnDate     string `json:"txnDate"`
}

// refundNotice is the body of a refund notification: the *success* page's when
// the money was paid back, the *accept* page's with FAILED when it was refused.
// The simulator also sends mid with the latter, which the page leaves out.
type refundNotice struct {
	MID           string         `json:"mid"`
	Source        string         `json:"source,omitempty"`
	TxnID         string         `json:"txnId"`
	OrderID       string         `json:"orderId"`
	TxnAmount     string         `json:"txnAmount"`
	RefundAmount  string         `json:"refundAmount"`
	TotalRefund   string         `json:"totalRefundAmount,omitempty"`
	TxnTime       string         `json:"txnTimestamp"`
	RequestTime   string         `json:"merchantRefundRequestTimestamp"`
	AcceptTime    string         `json:"acceptRefundTimestamp"`
	CreditTime    string         `json:"userCreditInitiateTimestamp,omitempty"`
	RefID         string         `json:"refId"`
	RefundID      string         `json:"refundId"`
	Details       []refundDetail `json:"refundDetailInfoList,omitempty"`
	Status        string         `json:"status,omitempty"`
	RejectCode    string         `json:"rejectRefundReasonCode,omitempty"`
	RejectMessage string         `json:"rejectRefundReasonMessage,omitempty"`
}

type refundDetail struct {
	RefundType   string `json:"refundType"`
	PayMethod    string `json:"payMethod"`
	RefundAmount string `json:"refundAmount"`
	RRN          string `json:"rrn"`
}

// notification is the body that tells what became of the record. The caller
// holds s.desk.
func (r record) notification() any {
	if o := r.order; o != nil {
		info := o.resultInfo()
		return paymentNotice{
			MID: o.account.MID, OrderID: o.id, TxnID: o.txnID(), TxnAmount: rupees(o.reported()), Currency: "INR",
			Status: info.Status, RespCode: info.Code, RespMsg: info.Msg, TxnType: "SALE", PaymentMode: "PPI",
			BankTxnID: o.bankTxnID(), BankName: "WALLET", TxnDate: vendorTime(o.DecidedUS),
		}
	}
	f := r.refund
	n := refundNotice{
		MID: f.account.MID, TxnID: f.order.txnID(), OrderID: f.order.id,
		TxnAmount: rupees(f.order.paise), RefundAmount: rupees(f.reported()),
		TxnTime: vendorTime(f.order.DecidedUS), RequestTime: vendorTime(f.CreatedUS), AcceptTime: vendorTime(f.DecidedUS),
		RefID: f.id, RefundID: f.refundID(),
	}
	if f.State == failed {
		n.Status, n.RejectCode, n.RejectMessage = "FAILED", "1", refundRefusal
		return n
	}
	n.Source = "MERCHANT"
	n.TotalRefund = rupees(f.order.refunded())
	n.CreditTime = vendorTime(f.DecidedUS)
	n.Details = f.details()
	return n
}

func (r *refund) details() []refundDetail {
	return []refundDetail{{
		RefundType: "TO_SOURCE", PayMethod: "BALANCE", RefundAmount: rupees(r.reported()),
		RRN: fmt.Sprintf("%012d", r.Seq),
	}}
}
