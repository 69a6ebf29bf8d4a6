package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aorta/internal/connector"
)

// mute is a connector that reads no notification.
type mute struct{}

func (mute) Capabilities() connector.Capabilities { return connector.Capabilities{} }

func (mute) Sale(context.Context, connector.Order) connector.Outcome { return connector.Outcome{} }

// credulous is one that reads whatever comes, where strict is empty, or else what
// has that word in its body: signed by nobody.
type credulous struct {
	mute
	strict string
}

func (c credulous) ReadNotification(n connector.Notification) (connector.News, error) {
	if c.strict != "" && !strings.Contains(string(n.Body), c.strict) {
		return connector.News{}, connector.ErrMalformed
	}
	return connector.News{}, nil
}

// TestAccountsMustVerify: verified or nothing. A connector that cannot tell its
// provider from a stranger is for the demo alone.
func TestAccountsMustVerify(t *testing.T) {
	t.Parallel()
	list := []connectorConfig{{Name: "x", Account: "main"}}
	for _, tt := range []struct {
		name string
		conn connector.Connector
	}{
		{"reads nothing", mute{}},
		{"reads everything", credulous{}},
		{"reads any form", credulous{strict: "="}},
		{"reads any JSON", credulous{strict: "{"}},
	} {
		made := func(connectorConfig, http.RoundTripper) (connector.Connector, error) { return tt.conn, nil }
		if _, err := connectorsByName(list, 1, false, made); !errors.Is(err, errUnverified) || !strings.Contains(err.Error(), "account main") {
			t.Errorf("%s: %v, want %v of account main", tt.name, err, errUnverified)
		}
		if got, err := connectorsByName(list, 1, true, made); err != nil {
			t.Errorf("%s, in a demo: %v", tt.name, err)
		} else if _, ok := got("x", "main"); !ok {
			t.Errorf("%s, in a demo: it is not there", tt.name)
		}
	}
	// Ours verify.
	for _, c := range []connectorConfig{
		{Name: "paytm", Account: "main", BaseURL: "https://psp.example", MID: "MID", Key: "0123456789abcdef", Website: "DEFAULT"},
		{Name: "generic", Account: "main", BaseURL: "https://psp.example", Key: "at least 14 characters"},
	} {
		if _, err := connectorsByName([]connectorConfig{c}, 1, false, connect); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		c.Key = ""
		if _, err := connectorsByName([]connectorConfig{c}, 1, true, connect); !errors.Is(err, errNoKey) {
			t.Errorf("%s without a key: %v, want %v", c.Name, err, errNoKey)
		}
	}
}

// TestServeRefusesAnAccountWithoutKey: before anything is opened.
func TestServeRefusesAnAccountWithoutKey(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"paytm", "generic"} {
		data := filepath.Join(t.TempDir(), "data")
		path := write(t, t.TempDir(), "aorta.toml", `data = "`+data+`"
listen = "127.0.0.1:0"
ops_listen = "127.0.0.1:0"
[[connector]]
name = "`+name+`"
account = "main"
base_url = "https://psp.example"
mid = "MID"
website = "DEFAULT"
`, 0o600)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := run(ctx, []string{"serve", "--config", path}, streams{io.Discard, io.Discard})
		if !errors.Is(err, errNoKey) || !strings.Contains(err.Error(), "PSP accounts: account main") {
			t.Errorf("serve with a %s account that has no key = %v", name, err)
		}
		if _, err := os.Stat(data); err == nil {
			t.Errorf("%s: a data directory was made", name)
		}
	}
}
