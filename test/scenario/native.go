package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Native is /v1 as a merchant's server calls it.
type Native struct {
	URL string // of the public listener
	Key string // an API key
}

// Reply is an answer of /v1, as it came.
type Reply struct {
	Status int
	Header http.Header
	Text   string
}

// Body is the answer's JSON object; nil if it is none.
func (r Reply) Body() map[string]any {
	var out map[string]any
	if json.Unmarshal([]byte(r.Text), &out) != nil {
		return nil
	}
	return out
}

// Error is the name of a refusal; empty of what is none.
func (r Reply) Error() string {
	name, _ := r.Body()["error"].(string)
	return name
}

// Final reports whether the answer is the last word: that something is being
// answered right now, too much at once and what is wrong over there invite to
// come again.
func (r Reply) Final() bool {
	return r.Status/100 == 2 || r.Status/100 == 4 && r.Status != http.StatusTooManyRequests && r.Error() != "request_in_progress"
}

// Post asks for a change, under an idempotency key.
func (n Native) Post(ctx context.Context, path, key string, body map[string]any) (Reply, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return Reply{}, err
	}
	return n.do(ctx, http.MethodPost, path, key, raw)
}

// Get reads.
func (n Native) Get(ctx context.Context, path string) (Reply, error) {
	return n.do(ctx, http.MethodGet, path, "", nil)
}

func (n Native) do(ctx context.Context, method, path, key string, body []byte) (Reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, n.URL+path, bytes.NewReader(body))
	if err != nil {
		return Reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+n.Key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return Reply{}, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return Reply{Status: resp.StatusCode, Header: resp.Header, Text: string(text)}, nil
}
