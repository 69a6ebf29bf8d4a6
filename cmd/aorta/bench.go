package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"aorta/internal/id"
	"aorta/internal/store"
	"aorta/internal/verify"
)

// benchCmd measures. It never runs on a database that holds anything else.
type benchCmd struct {
	Core     bool          `help:"Acts only: begin, submit and settle of payments, straight through the flows."`
	Flow     string        `help:"Over HTTP, with the platform and the sandbox in processes of their own: deposit, from sale to final callback; round, stake and win by /v1; debit, of one customer by /v1; payout, by /v1 until it is paid; history, one customer with many transfers and others with few." enum:",deposit,round,debit,payout,history" default:""`
	JSON     bool          `help:"Print the result as one line of JSON, the last." name:"json"`
	Callers  int           `help:"Payments at once; 0 means 512 with --core, 64 with --flow debit, and with --flow deposit, round and payout the number among a few that gives the most." default:"0"`
	Duration time.Duration `help:"How long to measure." default:"20s"`
	Rate     string        `help:"With --flow: payments, rounds or payouts begun a second while latency is measured; auto: half of the most. With --core: payments begun a second at their due times, instead of as many as there are callers." default:"auto"`
	Accounts int           `help:"With --core: PSP accounts, each with a project and a currency of its own, that payments take in turn; at most 150." default:"1"`
	Limits   string        `help:"With --core: payments into wallets of ten thousand customers, without limits (none) or with every limit there is, of a licensed project (all). With --flow payout: of a project that has no rules (none, or empty) or is licensed (all), whose payouts are checked." enum:",none,all" default:""`
	Lanes    int           `help:"With --core: committers of this process; 0 means as many as serve has, which on SQLite is the only number there is." default:"0"`
	Data     string        `help:"Directory for a SQLite database; empty: a temporary one."`
	Database string        `help:"PostgreSQL address of a database of the bench's own; instead of --data."`
	Prefill  int           `help:"With --core: payments to store before the measurement. With --flow history: transfers of the customer who has many; 0 means 100000."`
	Timeline bool          `help:"With --core: tell the rate every ten seconds."`
	Profile  string        `help:"With --core: write a processor profile of the measurement to this file."`
	NoVerify bool          `help:"With --core: do not verify what is stored in the end. For a series on one database, whose last run does."`
}

// Run measures, and verifies what it has written: numbers of a book that is
// wrong mean nothing.
func (c benchCmd) Run(ctx context.Context, s streams, log *slog.Logger) error {
	if c.Core == (c.Flow != "") {
		return errors.New("say what to measure: --core, or --flow deposit, round, debit, payout or history")
	}
	if c.Duration <= 0 || c.Callers < 0 || c.Prefill < 0 {
		return errors.New("--duration must be positive, --callers and --prefill not negative")
	}
	if c.Accounts < 1 || c.Accounts > maxAccounts {
		return fmt.Errorf("--accounts: 1 to %d", maxAccounts)
	}
	if c.Limits != "" && (!c.Core && c.Flow != "payout" || c.Accounts != 1) {
		return errors.New("--limits: with --core and one account, or --flow payout")
	}
	if c.Lanes < 0 || c.Lanes > maxLanes || (c.Lanes > 1 && c.Database == "") {
		return fmt.Errorf("--lanes: 0 to %d on PostgreSQL, 0 or 1 on SQLite", maxLanes)
	}
	if rate, err := strconv.ParseFloat(c.Rate, 64); c.Rate != "auto" && (err != nil || rate <= 0 || rate > 1e6) {
		return fmt.Errorf("--rate: %q is neither auto nor payments a second", c.Rate)
	}
	if c.Data == "" && c.Database == "" {
		dir, err := os.MkdirTemp("", "aorta-bench-")
		if err != nil {
			return fmt.Errorf("temporary directory: %w", err)
		}
		defer os.RemoveAll(dir)
		c.Data = dir
	}
	switch {
	case c.Core:
		return c.core(ctx, s, log)
	case c.Flow == "round":
		return c.round(ctx, s)
	case c.Flow == "debit":
		return c.debit(ctx, s)
	case c.Flow == "payout":
		return c.payout(ctx, s)
	case c.Flow == "history":
		return c.history(ctx, s)
	}
	return c.deposit(ctx, s)
}

func (c benchCmd) where() where { return where{Data: c.Data, Database: c.Database} }

// storeName is the store as results name it.
func (c benchCmd) storeName() string {
	if c.Database != "" {
		return "postgres"
	}
	return "sqlite"
}

// benchProject is the project of the payments that a bench makes; those of
// further PSP accounts have the numbers before it.
const benchProject = 4294967295

// maxAccounts bounds --accounts: there are about so many currencies.
const maxAccounts = 150

// maxLanes bounds --lanes: each bucket prefers one lane, and there are as many buckets.
const maxLanes = buckets

// ownDatabase makes sure that the database holds a bench's payments alone:
// nobody wants a million of them among their own.
func ownDatabase(ctx context.Context, db store.DB) error {
	rows, err := db.ScanPayments(ctx, id.Payment{}, 1)
	if err != nil {
		return fmt.Errorf("read payments: %w", err)
	}
	customers, err := db.ScanCustomers(ctx, id.Customer{}, 1)
	if err != nil {
		return fmt.Errorf("read customers: %w", err)
	}
	if len(rows) > 0 && rows[0].ProjectID <= benchProject-maxAccounts || len(customers) > 0 && customers[0].MerchantID <= benchProject-maxAccounts {
		return errors.New("this database holds payments that no bench has made: give an empty one")
	}
	return nil
}

// verified checks what a bench has written.
func (c benchCmd) verified(ctx context.Context, s streams) (verify.Report, error) {
	report, err := c.where().verify(ctx, verify.Options{})
	if err != nil {
		return report, err
	}
	if !report.OK {
		printReport(streams{s.err, s.err}, report)
		return report, errViolated
	}
	return report, nil
}

// samples are latencies in microseconds.
type samples []int32

func (l *samples) add(d time.Duration) { *l = append(*l, int32(min(d.Microseconds(), 1<<31-1))) }

// ms gives the latency that a part q of the samples did not exceed, in
// milliseconds. The samples must be sorted.
func (l samples) ms(q float64) float64 {
	if len(l) == 0 {
		return 0
	}
	return float64(l[min(int(q*float64(len(l))), len(l)-1)]) / 1000
}

func merged(parts []samples) samples {
	all := slices.Concat(parts...)
	slices.Sort(all)
	return all
}

// rounded keeps results readable.
func rounded(x float64) float64 { return float64(int64(x*100+0.5)) / 100 }

// printResult prints a result as the last line of JSON.
func printResult(s streams, result any) error {
	if err := json.NewEncoder(s.out).Encode(result); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	return nil
}
