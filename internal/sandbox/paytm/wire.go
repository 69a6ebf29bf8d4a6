package paytm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

// request is the vendor's envelope. Body keeps the exact bytes that were signed.
type request struct {
	Head struct {
		Signature string          `json:"signature"`
		TokenType json.RawMessage `json:"tokenType"`
		Timestamp json.RawMessage `json:"timestamp"`
	} `json:"head"`
	Body json.RawMessage `json:"body"`
}

// resultInfo is in every answer. Codes and texts are those of paytm.md sections
// 3, 5 and 6; where its sources disagree, the copied vendor tables [T].
type resultInfo struct {
	Status string `json:"resultStatus"`
	Code   string `json:"resultCode"`
	Msg    string `json:"resultMsg"`
}

// Answers to initiate.
var (
	started          = resultInfo{"S", "0000", "Success"}
	startedBefore    = resultInfo{"S", "0002", "Success Idempotent"}
	badParameters    = resultInfo{"F", "1001", "Invalid request parameters"}
	sessionExpired   = resultInfo{"F", "1006", "Your Session has expired."}
	missingElement   = resultInfo{"F", "1007", "Missing mandatory element"}
	pipeRefused      = resultInfo{"F", "1008", "Pipe character is not allowed"}
	badChecksum      = resultInfo{"F", "2005", "Checksum provided is invalid"}
	badMID           = resultInfo{"F", "2006", "Mid is invalid"}
	badAmount        = resultInfo{"F", "2007", "Txn amount is invalid"}
	otherMID         = resultInfo{"F", "2013", "Mid in the query param doesn't match with the Mid sent in the request"}
	otherOrder       = resultInfo{"F", "2014", "OrderId in the query param doesn't match with the OrderId sent in the request"}
	repeatDiffers    = resultInfo{"F", "2023", "Repeat Request Inconsistent"}
	initiateSysError = resultInfo{"U", "501", "System Error"}
)

// Answers to order status, also STATUS, RESPCODE and RESPMSG of callbacks.
var (
	txnSuccess  = resultInfo{"TXN_SUCCESS", "01", "Txn Success"}
	txnDeclined = resultInfo{"TXN_FAILURE", "227", "Your payment has been declined by your bank. Please try again or use a different method to complete the payment."}
	txnPending  = resultInfo{"PENDING", "402", "Looks like the payment is not complete. Please wait while we confirm the status with your bank."}
	noRecord    = resultInfo{"NO_RECORD_FOUND", "331", "No Record Found"}
	txnChecksum = resultInfo{"TXN_FAILURE", "330", "Invalid checksum"}
	txnBadOrder = resultInfo{"TXN_FAILURE", "334", "Invalid Order ID"}
	txnBadMID   = resultInfo{"TXN_FAILURE", "335", "Mid is invalid"}
	txnSysError = resultInfo{"TXN_FAILURE", "501", "System Error"}
)

// Answers to refund apply and refund status.
var (
	refundPending  = resultInfo{"PENDING", "601", "Refund request was raised for this transaction. But it is pending state"}
	refundDone     = resultInfo{"TXN_SUCCESS", "10", "Refund Successfull"}
	refundFailed   = resultInfo{"TXN_FAILURE", "620", "BALANCE_NOT_ENOUGH"}
	refundInvalid  = resultInfo{"TXN_FAILURE", "600", "Invalid refund request or restricted by bank"}
	refundOfFailed = resultInfo{"TXN_FAILURE", "607", "Refund can not be initiated for a cancelled transaction"}
	refundRepeated = resultInfo{"TXN_FAILURE", "617", "Refund Already Raised"}
	refundAmount   = resultInfo{"TXN_FAILURE", "619", "Invalid refund amount"}
	refundMismatch = resultInfo{"TXN_FAILURE", "627", "Order Details Mismatch"}
	refundBefore   = resultInfo{"TXN_FAILURE", "629", "Refund is already Successful"}
	refundUnknown  = resultInfo{"TXN_FAILURE", "631", "Record not found"}
	refundTooSmall = resultInfo{"TXN_FAILURE", "635", "Partial Refund under Rupee 1 is not allowed"}
	refundSysError = resultInfo{"PENDING", "501", "System Error"}
)

// refundRefusal is why a declined refund failed.
const refundRefusal = "Insufficient balance in your settlement account"

// resultInfo is the state of an order in the vendor's words.
func (o *order) resultInfo() resultInfo {
	switch o.State {
	case paid:
		return txnSuccess
	case failed:
		return txnDeclined
	case waiting:
		if o.left || o.Next == fault.Late {
			return txnPending
		}
	}
	return noRecord
}

func (r *refund) resultInfo() resultInfo {
	switch r.State {
	case paid:
		return refundDone
	case failed:
		return refundFailed
	case waiting:
	}
	return refundPending
}

// read takes a request's envelope and its body into v.
func read(w http.ResponseWriter, r *http.Request, v any) (request, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return request{}, err
	}
	var req request
	if err := json.Unmarshal(raw, &req); err != nil {
		return request{}, err
	}
	return req, json.Unmarshal(req.Body, v)
}

// answer signs and sends one answer. Without an account nobody's key can sign it.
func (s *Simulator) answer(w http.ResponseWriter, a *account, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		s.opts.Log.Error("paytm sandbox: write an answer", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	signature := ""
	if a != nil {
		signature = `,"signature":"` + a.key.Checksum(text, s.salt()) + `"`
	}
	out := fmt.Appendf(nil, `{"head":{"responseTimestamp":"%d","version":"v1"%s},"body":%s}`,
		s.clock().UnixMilli(), signature, text)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = w.Write(out) // the client going away is its own affair
}

type initiateBody struct {
	RequestType string `json:"requestType"`
	MID         string `json:"mid"`
	WebsiteName string `json:"websiteName"`
	OrderID     string `json:"orderId"`
	CallbackURL string `json:"callbackUrl"`
	TxnAmount   struct {
		Value    string `json:"value"`
		Currency string `json:"currency"`
	} `json:"txnAmount"`
	UserInfo struct {
		CustID string `json:"custId"`
	} `json:"userInfo"`
	ExtendInfo struct {
		MercUnqRef string `json:"mercUnqRef"`
	} `json:"extendInfo"`
}

type initiateAnswer struct {
	ResultInfo       resultInfo `json:"resultInfo"`
	TxnToken         string     `json:"txnToken,omitempty"`
	IsPromoCodeValid bool       `json:"isPromoCodeValid"`
	Authenticated    bool       `json:"authenticated"`
}

// initiate is POST /theia/api/v1/initiateTransaction (paytm.md section 3).
func (s *Simulator) initiate(w http.ResponseWriter, r *http.Request) {
	var body initiateBody
	req, err := read(w, r, &body)
	if err != nil {
		s.answer(w, nil, initiateAnswer{ResultInfo: badParameters})
		return
	}
	a := s.accounts[body.MID]
	value, refusal := body.check(req, a, r)
	if refusal != (resultInfo{}) {
		s.answer(w, a, initiateAnswer{ResultInfo: refusal})
		return
	}
	o, rule, info := s.open(a, body, value)
	switch {
	case rule.Next == fault.HTTP500:
		s.desk.Crash(w, r, rule)
		return
	case o == nil:
		s.answer(w, a, initiateAnswer{ResultInfo: info})
		return
	case o.Next == fault.Timeout:
		s.desk.Unanswered(r, &o.Fate)
	}
	s.desk.Drag(r, &o.Fate)
	s.answer(w, a, initiateAnswer{ResultInfo: info, TxnToken: o.token()})
}

// check returns the amount in paise, or why the vendor refuses the request.
func (b initiateBody) check(req request, a *account, r *http.Request) (int64, resultInfo) {
	query := r.URL.Query()
	switch {
	case b.MID == "" || b.OrderID == "" || b.WebsiteName == "" || b.RequestType == "" ||
		b.TxnAmount.Value == "" || b.UserInfo.CustID == "" || req.Head.Signature == "":
		return 0, missingElement
	case a == nil:
		return 0, badMID
	case !a.key.Verify(req.Body, req.Head.Signature):
		return 0, badChecksum
	case query.Get("mid") != b.MID:
		return 0, otherMID
	case query.Get("orderId") != b.OrderID:
		return 0, otherOrder
	case strings.Contains(b.OrderID+b.UserInfo.CustID+b.CallbackURL+b.ExtendInfo.MercUnqRef, "|"):
		return 0, pipeRefused
	case b.RequestType != "Payment" || !orderIDAllowed(b.OrderID) || len(b.UserInfo.CustID) > 64 ||
		!callbackAllowed(b.CallbackURL) || len(b.ExtendInfo.MercUnqRef) > 64:
		return 0, badParameters
	case b.WebsiteName != a.Website:
		return 0, initiateSysError // what a wrong websiteName looks like at the vendor
	}
	value, ok := paise(b.TxnAmount.Value)
	if !ok || b.TxnAmount.Currency != "INR" {
		return 0, badAmount
	}
	return value, resultInfo{}
}

// orderIDAllowed is the vendor's rule for orderId and refId: at most 50 of
// A–Z, a–z, 0–9 and @ - _ . (the newer text drops the point; it is let through).
func orderIDAllowed(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("@-_.", c) >= 0) {
			return false
		}
	}
	return id != "" && len(id) <= 50
}

// callbackAllowed takes no address, or one a browser can be posted to.
func callbackAllowed(address string) bool {
	u, err := url.Parse(address)
	return address == "" || err == nil && len(address) <= 2048 && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// open records a new order, or finds the one of an identical request. The order
// is nil when the answer is a refusal or a crash.
func (s *Simulator) open(a *account, b initiateBody, value int64) (*order, fault.Rule, resultInfo) {
	s.desk.Lock()
	defer s.desk.Unlock()
	if o := s.orders[key{a.MID, b.OrderID}]; o != nil {
		switch {
		case o.paise != value || o.customer != b.UserInfo.CustID || o.callback != b.CallbackURL:
			return nil, fault.Rule{}, repeatDiffers
		case s.expired(o):
			return nil, fault.Rule{}, sessionExpired
		}
		return o, fault.Rule{}, startedBefore
	}
	rule := s.opts.Faults.Take(sale)
	if rule.Next == fault.HTTP500 {
		return nil, rule, resultInfo{}
	}
	o := &order{
		fate:     fate{account: a, paise: value, Fate: desk.Fate{Next: rule.Next, Delay: rule.Delay}},
		id:       b.OrderID,
		customer: b.UserInfo.CustID,
		callback: b.CallbackURL,
		unique:   b.ExtendInfo.MercUnqRef,
	}
	if err := s.add(record{order: o}); err != nil {
		s.opts.Log.Error("paytm sandbox: record an order", "error", err)
		return nil, fault.Rule{}, initiateSysError
	}
	return o, rule, started
}

type statusBody struct {
	MID     string `json:"mid"`
	OrderID string `json:"orderId"`
	RefID   string `json:"refId"`
}

type statusAnswer struct {
	ResultInfo  resultInfo `json:"resultInfo"`
	TxnID       string     `json:"txnId,omitempty"`
	BankTxnID   string     `json:"bankTxnId,omitempty"`
	OrderID     string     `json:"orderId,omitempty"`
	TxnAmount   string     `json:"txnAmount,omitempty"`
	TxnType     string     `json:"txnType,omitempty"`
	GatewayName string     `json:"gatewayName,omitempty"`
	BankName    string     `json:"bankName,omitempty"`
	MID         string     `json:"mid,omitempty"`
	PaymentMode string     `json:"paymentMode,omitempty"`
	RefundAmt   string     `json:"refundAmt,omitempty"`
	TxnDate     string     `json:"txnDate,omitempty"`
}

// orderStatus is POST /v3/order/status (paytm.md section 5).
func (s *Simulator) orderStatus(w http.ResponseWriter, r *http.Request) {
	var body statusBody
	req, err := read(w, r, &body)
	if err != nil {
		s.answer(w, nil, statusAnswer{ResultInfo: txnSysError})
		return
	}
	a := s.accounts[body.MID]
	switch {
	case a == nil:
		s.answer(w, nil, statusAnswer{ResultInfo: txnBadMID})
		return
	case req.Head.TokenType != nil || req.Head.Timestamp != nil || !a.key.Verify(req.Body, req.Head.Signature):
		// Heads of other APIs are refused as a checksum error [S].
		s.answer(w, a, statusAnswer{ResultInfo: txnChecksum})
		return
	case body.OrderID == "":
		s.answer(w, a, statusAnswer{ResultInfo: txnBadOrder})
		return
	}
	o, found := s.orderAnswer(a, body.OrderID)
	if o != nil {
		s.desk.Drag(r, &o.Fate)
		// Told as it is when the answer leaves, not as it was when it was asked.
		_, found = s.orderAnswer(a, body.OrderID)
	}
	s.answer(w, a, found)
}

func (s *Simulator) orderAnswer(a *account, id string) (*order, statusAnswer) {
	s.desk.Lock()
	defer s.desk.Unlock()
	o := s.orders[key{a.MID, id}]
	if o == nil || o.resultInfo() == noRecord {
		return o, statusAnswer{ResultInfo: noRecord}
	}
	return o, statusAnswer{
		ResultInfo: o.resultInfo(), TxnID: o.txnID(), BankTxnID: o.bankTxnID(), OrderID: o.id,
		TxnAmount: rupees(o.reported()), TxnType: "SALE", GatewayName: "WALLET", BankName: "WALLET",
		MID: a.MID, PaymentMode: "PPI", RefundAmt: rupees(o.refunded()), TxnDate: o.txnDate(),
	}
}

// txnDate is when the order was decided, or begun while it is not.
func (o *order) txnDate() string {
	if o.State == waiting {
		return vendorTime(o.CreatedUS)
	}
	return vendorTime(o.DecidedUS)
}

type refundBody struct {
	MID          string `json:"mid"`
	TxnType      string `json:"txnType"`
	OrderID      string `json:"orderId"`
	TxnID        string `json:"txnId"`
	RefID        string `json:"refId"`
	RefundAmount string `json:"refundAmount"`
}

type refundAnswer struct {
	ResultInfo   resultInfo     `json:"resultInfo"`
	MID          string         `json:"mid,omitempty"`
	OrderID      string         `json:"orderId,omitempty"`
	TxnID        string         `json:"txnId,omitempty"`
	RefID        string         `json:"refId,omitempty"`
	RefundID     string         `json:"refundId,omitempty"`
	RefundAmount string         `json:"refundAmount,omitempty"`
	TxnAmount    string         `json:"txnAmount,omitempty"`
	RefundType   string         `json:"refundType,omitempty"`
	TotalRefund  string         `json:"totalRefundAmount,omitempty"`
	TxnTime      string         `json:"txnTimestamp,omitempty"`
	RequestTime  string         `json:"merchantRefundRequestTimestamp,omitempty"`
	AcceptTime   string         `json:"acceptRefundTimestamp,omitempty"`
	CreditStatus string         `json:"userCreditInitiateStatus,omitempty"`
	Details      []refundDetail `json:"refundDetailInfoList,omitempty"`
}

// refundApply is POST /refund/apply (paytm.md section 6): the answer registers
// the refund, its result comes by notification and refund status.
func (s *Simulator) refundApply(w http.ResponseWriter, r *http.Request) {
	var body refundBody
	req, err := read(w, r, &body)
	if err != nil {
		s.answer(w, nil, refundAnswer{ResultInfo: refundInvalid})
		return
	}
	a := s.accounts[body.MID]
	switch {
	case a == nil:
		s.answer(w, nil, refundAnswer{ResultInfo: txnBadMID})
		return
	case !a.key.Verify(req.Body, req.Head.Signature):
		s.answer(w, a, refundAnswer{ResultInfo: txnChecksum})
		return
	}
	f, rule, info := s.apply(a, body)
	switch {
	case rule.Next == fault.HTTP500:
		s.desk.Crash(w, r, rule)
		return
	case f != nil && f.Next == fault.Timeout:
		s.desk.Unanswered(r, &f.Fate)
	case f != nil:
		s.desk.Drag(r, &f.Fate)
	}
	out := refundAnswer{
		ResultInfo: info, MID: body.MID, OrderID: body.OrderID, TxnID: body.TxnID, RefID: body.RefID,
		RefundAmount: body.RefundAmount,
	}
	if f != nil {
		out.RefundID, out.TxnAmount = f.refundID(), rupees(f.order.paise)
	}
	s.answer(w, a, out)
}

// apply registers a refund. The refund is nil when the answer is a refusal or a
// crash. A repeated refId is refused by what became of the first [D, T].
func (s *Simulator) apply(a *account, b refundBody) (*refund, fault.Rule, resultInfo) {
	s.desk.Lock()
	defer s.desk.Unlock()
	o := s.orders[key{a.MID, b.OrderID}]
	value, ok := paise(b.RefundAmount)
	if before := s.refunds[key{a.MID, b.RefID}]; before != nil {
		switch {
		case before.order != o || before.paise != value:
			return nil, fault.Rule{}, refundMismatch
		case before.State == paid:
			return nil, fault.Rule{}, refundBefore
		}
		return nil, fault.Rule{}, refundRepeated
	}
	switch {
	case b.TxnType != "REFUND" || !orderIDAllowed(b.RefID):
		return nil, fault.Rule{}, refundInvalid
	case o == nil:
		return nil, fault.Rule{}, refundUnknown
	case b.TxnID != o.txnID():
		return nil, fault.Rule{}, refundMismatch
	case o.State == failed:
		return nil, fault.Rule{}, refundOfFailed
	case o.State == waiting:
		return nil, fault.Rule{}, refundInvalid
	case !ok || value > o.refundable():
		return nil, fault.Rule{}, refundAmount
	case value < 100 && value < o.paise:
		return nil, fault.Rule{}, refundTooSmall
	}
	rule := s.opts.Faults.Take(refunding)
	if rule.Next == fault.HTTP500 {
		return nil, rule, resultInfo{}
	}
	f := &refund{fate: fate{account: a, paise: value, Fate: desk.Fate{Next: rule.Next, Delay: rule.Delay, Moves: true}}, id: b.RefID, order: o}
	if err := s.add(record{refund: f}); err != nil {
		if !errors.Is(err, desk.ErrFull) {
			s.opts.Log.Error("paytm sandbox: record a refund", "error", err)
		}
		return nil, fault.Rule{}, refundSysError
	}
	if f.Next == fault.Timeout {
		// Done before the connection is left hanging, so that a look-up finds it.
		if err := s.desk.Settle(record{refund: f}, paid); err != nil {
			s.opts.Log.Error("paytm sandbox: pay back", "error", err)
		}
	}
	return f, rule, refundPending
}

// refundStatus is POST /v2/refund/status (paytm.md section 6).
func (s *Simulator) refundStatus(w http.ResponseWriter, r *http.Request) {
	var body statusBody
	req, err := read(w, r, &body)
	if err != nil {
		s.answer(w, nil, refundAnswer{ResultInfo: refundInvalid})
		return
	}
	a := s.accounts[body.MID]
	switch {
	case a == nil:
		s.answer(w, nil, refundAnswer{ResultInfo: txnBadMID})
		return
	case !a.key.Verify(req.Body, req.Head.Signature):
		s.answer(w, a, refundAnswer{ResultInfo: txnChecksum})
		return
	}
	f, found := s.refundAnswer(a, body)
	if f != nil {
		s.desk.Drag(r, &f.Fate)
		_, found = s.refundAnswer(a, body)
	}
	s.answer(w, a, found)
}

func (s *Simulator) refundAnswer(a *account, b statusBody) (*refund, refundAnswer) {
	s.desk.Lock()
	defer s.desk.Unlock()
	f := s.refunds[key{a.MID, b.RefID}]
	if f == nil || f.order.id != b.OrderID {
		return nil, refundAnswer{ResultInfo: refundUnknown, MID: a.MID, OrderID: b.OrderID, RefID: b.RefID}
	}
	out := refundAnswer{
		ResultInfo: f.resultInfo(), MID: a.MID, OrderID: f.order.id, TxnID: f.order.txnID(), RefID: f.id,
		RefundID: f.refundID(), RefundAmount: rupees(f.reported()), TxnAmount: rupees(f.order.paise),
		RefundType: "TO_SOURCE", TotalRefund: rupees(f.order.refunded()),
		TxnTime: vendorTime(f.order.DecidedUS), RequestTime: vendorTime(f.CreatedUS),
	}
	if f.State != waiting {
		out.AcceptTime = vendorTime(f.DecidedUS)
	}
	if f.State == paid {
		out.CreditStatus, out.Details = "SUCCESS", f.details()
	}
	return f, out
}
