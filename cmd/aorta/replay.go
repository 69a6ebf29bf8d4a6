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
	What  string   `arg:"" help:"What to do once more: deliveries (callbacks to merchants) or notifications (news of PSPs)." enum:"deliveries,notifications"`
	ID    []string `help:"Which: cb_… for deliveries, in_… for notifications; may be repeated." name:"id" placeholder:"ID"`
	Dead  bool     `help:"All dead letters of that kind."`
	Ops   string   `help:"The running server's ops listener." default:"http://127.0.0.1:8081" env:"AORTA_OPS"`
	Token string   `help:"Its ops_token." env:"AORTA_OPS_TOKEN"`
}

// replayTimeout bounds the replay of all dead letters, each of which is an act.
const replayTimeout = 5 * time.Minute

// Run replays.
func (c replayCmd) Run(ctx context.Context, s streams) error {
	if (len(c.ID) > 0) == c.Dead {
		return errors.New("name what to replay by --id, or all dead letters by --dead")
	}
	body, err := json.Marshal(map[string]any{"what": c.What, "ids": c.ID, "dead": c.Dead})
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
		return errors.New("the server wants its ops_token: give it by --token or AORTA_OPS_TOKEN")
	case resp.StatusCode != http.StatusOK && answer.Message != "":
		return fmt.Errorf("the server refuses (%d): %s", resp.StatusCode, answer.Message)
	case resp.StatusCode != http.StatusOK || err != nil:
		return fmt.Errorf("%s answers %d, and not as an ops listener does", c.Ops, resp.StatusCode)
	}
	fmt.Fprintf(s.out, "%d %s are done once more\n", answer.Replayed, c.What)
	return nil
}
