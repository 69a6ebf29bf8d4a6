package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// replayCmd has a running server do something once more. It goes through the
// server, not the database: on SQLite no other process may write.
type replayCmd struct {
	What     string   `arg:"" help:"What to do once more: deliveries (callbacks to merchants), notifications (news of PSPs) or webhooks (to an endpoint)." enum:"deliveries,notifications,webhooks"`
	ID       []string `help:"Which: cb_… for deliveries, in_… for notifications; may be repeated." name:"id" placeholder:"ID"`
	Dead     bool     `help:"All dead letters of that kind."`
	Endpoint string   `help:"Of webhooks: the endpoint, we_…; what it has not got is sent." placeholder:"ID"`
	State    string   `help:"Of webhooks: only those that are pending, delivered, dead or parked."`
	Type     string   `help:"Of webhooks: only those of a type, such as payment.captured."`
	Payment  string   `help:"Of webhooks: only those of a payment, pay_…, or of a payout, po_…."`
	From     string   `help:"Of webhooks: only those of events since then, such as 2026-01-02T15:04:05Z."`
	To       string   `help:"Of webhooks: only those of events before then."`
	Ops      string   `help:"The running server's ops listener." default:"http://127.0.0.1:8081" env:"AORTA_OPS"`
	Token    string   `help:"An operator's token, or its ops_token." env:"AORTA_OPS_TOKEN"`
}

func (c replayCmd) webhookFilter() bool {
	return c.Endpoint+c.State+c.Type+c.Payment+c.From+c.To != ""
}

// replayTimeout bounds the replay of all dead letters, each of which is an act.
const replayTimeout = 5 * time.Minute

// Run replays.
func (c replayCmd) Run(ctx context.Context, s streams) error {
	webhooks := c.What == "webhooks"
	if webhooks && (c.Endpoint == "" || c.Dead || len(c.ID) > 0) || !webhooks && c.webhookFilter() {
		return errors.New("webhooks are named by --endpoint, and --state, --type, --payment, --from and --to are for them alone; single ones are deliveries")
	}
	if !webhooks && (len(c.ID) > 0) == c.Dead {
		return errors.New("name what to replay by --id, or all dead letters by --dead")
	}
	request := map[string]any{"what": c.What, "ids": c.ID, "dead": c.Dead}
	if webhooks {
		request = map[string]any{
			"what": c.What, "endpoint": c.Endpoint, "state": c.State, "type": c.Type, "payment": c.Payment, "from": c.From, "to": c.To,
		}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.Ops, "/")+"/admin/replay", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("--ops: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer at %s (is it running, and is this its ops listener?): %w", c.Ops, err)
	}
	defer resp.Body.Close()
	var answer struct {
		Replayed int    `json:"replayed"`
		Message  string `json:"message"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return errors.New("the server wants an operator's token or its ops_token, and this one opens nothing: give it by --token or AORTA_OPS_TOKEN")
	case resp.StatusCode != http.StatusOK && answer.Message != "":
		return fmt.Errorf("the server refuses (%d): %s", resp.StatusCode, answer.Message)
	case resp.StatusCode != http.StatusOK || err != nil:
		return fmt.Errorf("%s answers %d, and not as an ops listener does", c.Ops, resp.StatusCode)
	}
	fmt.Fprintf(s.out, "%d %s are done once more\n", answer.Replayed, c.What)
	return nil
}
