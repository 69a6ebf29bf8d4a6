// Aorta is a self-hosted payment platform in one binary. Each verb has its own
// file here; the wiring of the parts is in house.go, and connectors.go is the
// one list of PSPs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"syscall"
	"time"

	"aorta/internal/crash"
	"aorta/internal/redact"

	"github.com/alecthomas/kong"
)

// commands are the verbs.
type commands struct {
	LogLevel slog.Level `help:"Log level: debug, info, warn, error." default:"warn" env:"AORTA_LOG_LEVEL"`

	Demo       demoCmd       `cmd:"" help:"Everything on one machine: platform, sandbox PSPs, a demo merchant with a shop."`
	Serve      serveCmd      `cmd:"" help:"The platform, by a configuration file."`
	Migrate    migrateCmd    `cmd:"" help:"Bring the database's schema up to date, and end."`
	Verify     verifyCmd     `cmd:"" help:"Check every invariant of the stored money. Exit 0 only if all hold."`
	Doctor     doctorCmd     `cmd:"" help:"Say whether this machine, configuration and database are fit to serve."`
	Replay     replayCmd     `cmd:"" help:"Send callbacks or apply notifications once more, by the running server's ops listener."`
	Keys       keysCmd       `cmd:"" help:"Make, list, rotate and revoke API keys, by the running server's ops listener; keys google: those of Google integrations, in their files."`
	Operators  operatorsCmd  `cmd:"" help:"Make, list, confirm and revoke operators, by the running server's ops listener."`
	Statements statementsCmd `cmd:"" help:"List Google's statements, show them and decide about them, by the running server's ops listener."`
	Audit      auditCmd      `cmd:"" help:"Check or print the log of what operators did."`
	Rules      rulesCmd      `cmd:"" help:"Check a rules file of a licensed project."`
	Sandbox    sandboxCmd    `cmd:"" help:"The other side alone: PSP simulators and a demo merchant, in a process of their own."`
	Bench      benchCmd      `cmd:"" help:"Measure the core, or payments end to end."`
}

// streams are where a verb writes.
type streams struct {
	out, err io.Writer
}

// errViolated: verify found something. The report has been printed.
var errViolated = errors.New("invariants are violated")

// collectSeldom trades memory for processor time, unless the environment says
// otherwise: a payment leaves much short-lived garbage and little that lives on.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// boundMemory bounds that trade. The bound is soft: close to it the collector
// comes more often, so it must leave room above what lives on under overload.
// What is not Go's own is not counted: SQLite's caches have the difference.
func boundMemory(database string) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := int64(192 << 20)
	if database == "" {
		limit = 136 << 20
	}
	debug.SetMemoryLimit(limit)
}

func main() {
	collectSeldom()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], streams{os.Stdout, os.Stderr}); err != nil {
		if !errors.Is(err, errViolated) {
			fmt.Fprintln(os.Stderr, "aorta:", err)
		}
		stop()
		os.Exit(exitCode(err))
	}
}

// exitCode tells a supervisor what to do (docs/operations.md); the numbers are
// those of sysexits.h.
func exitCode(err error) int {
	switch {
	case errors.Is(err, errLedger):
		return 70 // do not start it again: a person must look
	case errors.Is(err, errStorage):
		return 74 // start it again: it reads what the disk holds
	}
	return 1
}

// die ends this process as a power cut would, for builds that are told to.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

func run(ctx context.Context, args []string, s streams) error {
	dropEmpty(os.Environ())
	if crash.On {
		if err := crash.Arm(os.Getenv("AORTA_CRASH"), die); err != nil {
			return err
		}
	}
	var c commands
	parser, err := newParser(&c, s, kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	log := slog.New(redact.Handler(slog.NewJSONHandler(s.err, &slog.HandlerOptions{Level: c.LogLevel})))
	parsed.Bind(log)
	return parsed.Run()
}

func newParser(c *commands, s streams, more ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append(more, kong.Name("aorta"), kong.Description("A self-hosted payment platform."), kong.UsageOnError(),
		kong.Writers(s.out, s.err), kong.Bind(s), kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(spanMapper)))...)
}
