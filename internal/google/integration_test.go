package google_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"aorta/internal/google"
)

// TestCheck: each setting has its own error.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*google.Integration)
		field  string // empty: sound
	}{
		{"sound", func(*google.Integration) {}, ""},
		{"no name", func(i *google.Integration) { i.Name = "" }, "name"},
		{"a name that is a path", func(i *google.Integration) { i.Name = "../x" }, "name"},
		{"a name in capitals", func(i *google.Integration) { i.Name = "Main" }, "name"},
		{"no project", func(i *google.Integration) { i.ProjectID = 0 }, "project"},
		{"layout", func(i *google.Integration) { i.Layout = "v2" }, "layout"},
		{"oldest", func(i *google.Integration) { i.Layout = google.LayoutOldest }, ""},
		{"host with a port", func(i *google.Integration) { i.Hosts = []string{"pay.example:443"} }, "hosts"},
		{"host in capitals", func(i *google.Integration) { i.Hosts = []string{"Pay.example"} }, "hosts"},
		{"host with a scheme", func(i *google.Integration) { i.Hosts = []string{"https://pay.example"} }, "hosts"},
		{"root of any host", func(i *google.Integration) { i.BasePath = "" }, "base_path"},
		{"root of a host", func(i *google.Integration) { i.BasePath, i.Hosts = "", []string{"pay.example"} }, ""},
		{"another door's path", func(i *google.Integration) { i.BasePath = "/v2" }, "base_path"},
		{"a path like ours", func(i *google.Integration) { i.BasePath = "/gspx" }, "base_path"},
		{"a slash behind", func(i *google.Integration) { i.BasePath = "/gsp/" }, "base_path"},
		{"up", func(i *google.Integration) { i.BasePath = "/gsp/../v1" }, "base_path"},
		{"a pattern", func(i *google.Integration) { i.BasePath = "/gsp/{x}" }, "base_path"},
		{"no account", func(i *google.Integration) { i.Accounts = nil }, "accounts"},
		{"an account with a slash", func(i *google.Integration) { i.Accounts = []string{"a/b"} }, "accounts"},
		{"an account twice", func(i *google.Integration) { i.Accounts = []string{"a", "a"} }, "accounts"},
		{"Google over plain http", func(i *google.Integration) { i.GoogleURL = "http://vgw.example" }, "google_url"},
		{"Google with a path", func(i *google.Integration) { i.GoogleURL = "https://vgw.example/x" }, "google_url"},
		{"Google on this machine", func(i *google.Integration) { i.GoogleURL = "http://127.0.0.1:8082" }, ""},
		{"call back to everybody", func(i *google.Integration) { i.CallbackHosts = []string{"*"} }, "callback_hosts"},
		{"call back to all of com", func(i *google.Integration) { i.CallbackHosts = []string{"*.com"} }, "callback_hosts"},
		{"no currency", func(i *google.Integration) { i.Limits = []google.Limit{{Currency: "XXX"}} }, "limit"},
		{"two limits", func(i *google.Integration) { i.Limits = []google.Limit{{Currency: "INR"}, {Currency: "INR"}} }, "limit"},
		{"a day below a purchase", func(i *google.Integration) { i.Limits = []google.Limit{{Currency: "INR", Transaction: 5, Day: 4}} }, "limit"},
		{"limits", func(i *google.Integration) {
			i.Limits = []google.Limit{{Currency: "INR", Least: 1, Transaction: 5, Day: 5, Month: 50}}
		}, ""},
		{"no time", func(i *google.Integration) { i.AsyncTime = 0 }, "async_time"},
		{"a day for a call", func(i *google.Integration) { i.CallTimeout = 24 * time.Hour }, "call_timeout"},
	} {
		i := integration("main")
		tt.change(&i)
		err := i.Check()
		var field *google.FieldError
		switch {
		case tt.field == "" && err != nil, tt.field != "" && (!errors.As(err, &field) || field.Field != tt.field || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v, want an error of %q alone", tt.name, err, tt.field)
		}
	}
}

// TestCheckAll: two integrations never lie in one place, and no account belongs to
// two.
func TestCheckAll(t *testing.T) {
	t.Parallel()
	with := func(name, base string, hosts ...string) google.Integration {
		i := integration(name)
		i.BasePath, i.Hosts = base, hosts
		return i
	}
	twice := with("b", "/gsp/b")
	twice.Accounts = []string{"AORTA_A_INR"}
	for _, tt := range []struct {
		name string
		list []google.Integration
		ok   bool
	}{
		{"apart", []google.Integration{with("a", "/gsp/a"), with("b", "/gsp/b")}, true},
		{"one name", []google.Integration{with("a", "/gsp/a"), with("a", "/gsp/b")}, false},
		{"one path", []google.Integration{with("a", "/gsp/a"), with("b", "/gsp/a")}, false},
		{"one below the other", []google.Integration{with("a", "/gsp"), with("b", "/gsp/b")}, true},
		{"one where methods of the other are", []google.Integration{with("a", "/gsp"), with("b", "/gsp/v1")}, false},
		{"one below methods of the other", []google.Integration{with("b", "/gsp/v1/b"), with("a", "/gsp")}, false},
		{"one path at two hosts", []google.Integration{with("a", "", "a.example"), with("b", "", "b.example")}, true},
		{"one path at one of its hosts", []google.Integration{with("a", "", "a.example", "c.example"), with("b", "", "c.example")}, false},
		{"a root beside a path of any host", []google.Integration{with("a", "", "a.example"), with("b", "/gsp/b")}, true},
		{"a path of a host and of any", []google.Integration{with("a", "/gsp/a", "a.example"), with("b", "/gsp/a")}, false},
		{"one account", []google.Integration{with("a", "/gsp/a"), twice}, false},
	} {
		if err := google.CheckAll(tt.list); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestURLs: Google's side in the three layouts (section 0.1).
func TestURLs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		layout  google.Layout
		sandbox bool
		url     string
		theirs  string
		ours    string
	}{
		{google.LayoutOldest, false, "", "https://billpaynotification.googleapis.com/secure-serving/gsp/v1/echo", "/gsp/main/v1/echo"},
		{google.LayoutV1, false, "", "https://vgw.googleapis.com/secure-serving/gsp/v1/echo/A%20B", "/gsp/main/v1/echo"},
		{google.LayoutV1, true, "", "https://vgw.sandbox.google.com/secure-serving/gsp/v1/echo/A%20B", "/gsp/main/v1/echo"},
		{google.LayoutEWallets, false, "", "https://vgw.googleapis.com/gsp/e-wallets-v1/echo/A%20B", "/gsp/main/e-wallets-v1/echo"},
		{google.LayoutEWallets, true, "", "https://vgw.sandbox.google.com/gsp/e-wallets-v1/echo/A%20B", "/gsp/main/e-wallets-v1/echo"},
		{google.LayoutV1, true, "http://127.0.0.1:1", "http://127.0.0.1:1/secure-serving/gsp/v1/echo/A%20B", "/gsp/main/v1/echo"},
	} {
		i := integration("main")
		i.Layout, i.Sandbox, i.GoogleURL = tt.layout, tt.sandbox, tt.url
		if got := i.URL("echo", "A B"); got != tt.theirs {
			t.Errorf("%s: theirs is %s, want %s", tt.layout, got, tt.theirs)
		}
		if got := i.Path("echo"); got != tt.ours {
			t.Errorf("%s: ours is %s, want %s", tt.layout, got, tt.ours)
		}
		if i.Hosts = []string{"a.example", "b.example"}; !slices.Equal(i.Patterns(), []string{"a.example" + strings.TrimSuffix(tt.ours, "echo"), "b.example" + strings.TrimSuffix(tt.ours, "echo")}) {
			t.Errorf("%s: patterns %v", tt.layout, i.Patterns())
		}
	}
}
