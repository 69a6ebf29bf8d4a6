package kyc

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/hex"
	"errors"
	"html/template"
	"io"
	"net/http"
	"time"

	"aorta/internal/sandbox/desk"
	"aorta/internal/sandbox/fault"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets in nothing but the inlined style.
var pagePolicy = "default-src 'none'; base-uri 'none'; style-src '" + desk.Digest(desk.PageStyle) + "'"

// view is what the template shows: a check with its form (Press), or only notes.
type view struct {
	Title, Customer, Reference, Account string
	Level                               int64
	Notes                               []string
	Press, Token                        string
	Name, Birth, Number                 string
	Style                               template.CSS
}

// titles say what each level asks for.
var titles = map[int64]string{
	1: "Who are you?", 2: "Show your identity document", 3: "Show where your money comes from",
}

// page is the hosted page: it shows the form, and takes the customer's press when
// the form carries an action. Whoever has the token may see it, for a day;
// afterwards it only leads back.
func (s *Simulator) page(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	// What does not fit into memory goes to no file: it is too large.
	if err := r.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		s.write(w, http.StatusBadRequest, view{Title: "The form could not be read", Notes: []string{"A document may have at most 8 MB."}})
		return
	}
	s.desk.Lock()
	c := s.known[key{r.PathValue("account"), r.PathValue("reference")}]
	open := c != nil && c.Next != fault.Timeout && hmac.Equal([]byte(r.Form.Get("token")), []byte(c.token())) &&
		!s.clock().After(time.UnixMicro(c.CreatedUS).Add(pageLife))
	s.desk.Unlock()
	if !open {
		s.write(w, http.StatusGone, view{Title: "This page has expired", Notes: []string{"Go back to where you came from and start again."}})
		return
	}
	s.desk.Drag(r, &c.Fate)
	switch r.PostForm.Get("action") {
	case "":
		s.write(w, http.StatusOK, s.form(c))
	case "approve", "decline", "leave":
		s.press(w, r, c)
	default:
		s.write(w, http.StatusBadRequest, view{Title: "There is no such button", Notes: []string{"The buttons are approve, decline and leave."}})
	}
}

// form is the page with the buttons. It keeps them once the check is decided,
// because a fault rule may decide it while somebody is looking.
func (s *Simulator) form(c *check) view {
	s.desk.Lock()
	defer s.desk.Unlock()
	p := c.sample()
	v := view{
		Title: titles[c.level], Customer: c.customer, Reference: c.reference, Account: c.account.Name, Level: c.level, Token: c.token(),
		Press: s.opts.Prefix + "/check/" + c.account.Name + "/" + c.reference, Name: p.name, Birth: p.birth, Number: p.number,
	}
	if c.State != desk.Waiting {
		v.Notes = []string{"This check is already decided. Each button only takes you back."}
	}
	return v
}

// press does what the button says, unless the check is decided or a fault rule is
// to decide it, and leads back.
func (s *Simulator) press(w http.ResponseWriter, r *http.Request, c *check) {
	p, err := paperOf(r, c)
	var what shown
	if err == nil {
		what, err = c.account.read(p, s.clock())
	}
	if err != nil {
		v := s.form(c)
		v.Notes = append(v.Notes, "Please look at the form again: "+err.Error()+".")
		s.write(w, http.StatusUnprocessableEntity, v)
		return
	}
	if err := s.pressed(c, r.PostForm.Get("action"), what); err != nil {
		s.opts.Log.Error("kyc sandbox: press", "reference", c.reference, "error", err)
		s.write(w, http.StatusInternalServerError, view{Title: "Something went wrong"})
		return
	}
	if c.returnURL == "" {
		s.write(w, http.StatusOK, view{Title: "Thank you", Notes: []string{"You can close this page."}})
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, c.returnURL, http.StatusSeeOther)
}

// paperOf reads the form. What it leaves out is as in the sample, so that a script
// need send a button alone.
func paperOf(r *http.Request, c *check) (papers, error) {
	p := c.sample()
	for name, into := range map[string]*string{"name": &p.name, "birth": &p.birth, "number": &p.number, "until": &p.until} {
		if v := r.PostForm.Get(name); v != "" {
			*into = v
		}
	}
	file, _, err := r.FormFile("document")
	if err != nil {
		if r.MultipartForm == nil || len(r.MultipartForm.File["document"]) == 0 {
			return p, nil // no picture
		}
		return p, err
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, file)
	if err == nil && n > 0 {
		p.digest = "sha256:" + hex.EncodeToString(h.Sum(nil)) // the picture itself is not kept
	}
	return p, err
}

func (s *Simulator) pressed(c *check, action string, what shown) error {
	s.desk.Lock()
	defer s.desk.Unlock()
	if c.State != desk.Waiting || c.Next != fault.None {
		return nil
	}
	switch action {
	case "approve":
		if err := s.show(c, what); err != nil {
			return err
		}
		if !s.clock().Before(time.UnixMicro(what.UntilUS)) {
			return s.fail(c, "document_expired")
		}
		return s.desk.Settle(c, desk.Paid)
	case "leave":
		return s.leave(c)
	}
	return s.desk.Settle(c, desk.Failed)
}

func (s *Simulator) write(w http.ResponseWriter, status int, v view) {
	v.Style = template.CSS(desk.PageStyle) //nolint:gosec // a constant
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, v); err != nil {
		s.opts.Log.Error("kyc sandbox: write the page", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	desk.WritePage(w, status, pagePolicy, out.Bytes())
}
