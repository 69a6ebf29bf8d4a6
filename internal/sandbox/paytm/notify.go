package paytm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"aorta/internal/sandbox/fault"
)

// decide is the one goroutine that decides what fault rules have put on the
// agenda, and hands what is due to the tellers.
func (s *Simulator) decide() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var decisions []task
	for {
		select {
		case <-timer.C:
		case <-s.agenda.sooner:
		case <-s.stopped.Done():
			return
		}
		var nap time.Duration
		decisions, nap = s.agenda.due(s.clock(), decisions[:0])
		for _, t := range decisions {
			s.decideOne(t)
		}
		timer.Reset(nap)
	}
}

func (s *Simulator) decideOne(t task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[t.seq-1]
	if err := s.settle(r, r.plan().becomes); err != nil {
		// The record stays undecided, as it will be found after a restart.
		s.opts.Log.Error("paytm sandbox: decide", "seq", t.seq, "error", err)
	}
}

// tell sends notifications until the simulator closes.
func (s *Simulator) tell() {
	for {
		t, ok := s.agenda.next()
		if !ok {
			return
		}
		s.tellOne(t)
	}
}

// tellOne sends one notification and plans its repetition (paytm.md section 4):
// anything but 2xx within 30 s is repeated, a 4xx is final.
func (s *Simulator) tellOne(t task) {
	s.mu.Lock()
	r := s.records[t.seq-1]
	url := *r.fate().account.notify.Load()
	body, err := json.Marshal(r.notification())
	s.mu.Unlock()
	if err != nil {
		s.opts.Log.Error("paytm sandbox: write a notification", "seq", t.seq, "error", err)
		return
	}
	signer := r.fate().account.key
	if r.fate().next == fault.WrongSignature {
		signer = r.fate().account.forged
	}
	status, err := s.post(url, s.sealed(r, signer, body))
	if s.stopped.Err() != nil {
		return // not told; the next start takes it up
	}
	done := err == nil && (status/100 == 2 || status/100 == 4)
	if done && status/100 == 2 {
		s.taken(r)
	}
	if !done {
		s.opts.Log.Debug("paytm sandbox: notification not taken", "seq", t.seq, "status", status, "error", err)
		if int(t.attempt) < len(retryUnits) {
			pause := time.Duration(retryUnits[t.attempt]) * s.opts.NotifyUnit
			t.dueUS = s.clock().Add(pause).UnixMicro()
			t.attempt++
			s.agenda.push(t)
			return
		}
		s.opts.Log.Warn("paytm sandbox: notification given up", "seq", t.seq, "attempts", notifyTries)
	}
	s.settleTold(r)
}

// taken notes that the platform has the news.
func (s *Simulator) taken(r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.fate().taken = true
}

// TellAll tells, at once and with a good signature, what became of every
// decided record of which the platform has taken no notification: whether a
// fault rule kept it from being told, or its next repetition is hours away. It
// waits for the answers, and gives how many it told and how many were taken.
func (s *Simulator) TellAll(ctx context.Context) (told, taken int) {
	s.mu.Lock()
	var rest []record
	for _, r := range s.records {
		if f := r.fate(); f.state != waiting && !f.taken && *f.account.notify.Load() != "" {
			rest = append(rest, r)
		}
	}
	s.mu.Unlock()
	var next, sent, good atomic.Int64
	var wg sync.WaitGroup
	for range min(s.opts.Workers, len(rest)) {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(len(rest)) && ctx.Err() == nil; n = next.Add(1) {
				sent.Add(1)
				if s.tellNow(rest[n-1]) {
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(sent.Load()), int(good.Load())
}

// tellNow sends one good notification; false if it was not taken.
func (s *Simulator) tellNow(r record) bool {
	s.mu.Lock()
	a := r.fate().account
	body, err := json.Marshal(r.notification())
	s.mu.Unlock()
	if err != nil {
		s.opts.Log.Error("paytm sandbox: write a notification", "seq", r.fate().seq, "error", err)
		return false
	}
	status, err := s.post(*a.notify.Load(), s.sealed(r, a.key, body))
	if err != nil || status/100 != 2 {
		return false
	}
	s.taken(r)
	return true
}

// settleTold notes that one of the record's notifications needs no more care.
func (s *Simulator) settleTold(r record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := r.fate()
	f.copies--
	if f.copies > 0 {
		return
	}
	if err := s.write(line{Seq: f.seq, Told: true}); err != nil {
		s.opts.Log.Error("paytm sandbox: remember a notification", "seq", f.seq, "error", err)
		return
	}
	f.told = true
}

func (s *Simulator) post(url string, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(s.stopped, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "paytm-sandbox")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	// Read to the end, within a bound, so that the connection can be used again.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)); err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	return resp.StatusCode, nil
}

// sealed puts the signed head in front of a body. Each attempt has its own salt.
func (s *Simulator) sealed(r record, signer *Key, body []byte) []byte {
	version := ""
	if r.refund != nil {
		version = `,"version":"v1"` // only the refund pages show it
	}
	return fmt.Appendf(nil, `{"head":{"signature":"%s"%s},"body":%s}`, signer.Checksum(body, s.salt()), version, body)
}

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
// holds s.mu.
func (r record) notification() any {
	if o := r.order; o != nil {
		info := o.resultInfo()
		return paymentNotice{
			MID: o.account.MID, OrderID: o.id, TxnID: o.txnID(), TxnAmount: rupees(o.reported()), Currency: "INR",
			Status: info.Status, RespCode: info.Code, RespMsg: info.Msg, TxnType: "SALE", PaymentMode: "PPI",
			BankTxnID: o.bankTxnID(), BankName: "WALLET", TxnDate: vendorTime(o.decidedUS),
		}
	}
	f := r.refund
	n := refundNotice{
		MID: f.account.MID, TxnID: f.order.txnID(), OrderID: f.order.id,
		TxnAmount: rupees(f.order.paise), RefundAmount: rupees(f.reported()),
		TxnTime: vendorTime(f.order.decidedUS), RequestTime: vendorTime(f.createdUS), AcceptTime: vendorTime(f.decidedUS),
		RefID: f.id, RefundID: f.refundID(),
	}
	if f.state == failed {
		n.Status, n.RejectCode, n.RejectMessage = "FAILED", "1", refundRefusal
		return n
	}
	n.Source = "MERCHANT"
	n.TotalRefund = rupees(f.order.refunded())
	n.CreditTime = vendorTime(f.decidedUS)
	n.Details = f.details()
	return n
}

func (r *refund) details() []refundDetail {
	return []refundDetail{{
		RefundType: "TO_SOURCE", PayMethod: "BALANCE", RefundAmount: rupees(r.reported()),
		RRN: fmt.Sprintf("%012d", r.seq),
	}}
}
