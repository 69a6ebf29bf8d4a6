package main

import (
	"context"
	"fmt"
	"log/slog"
)

// serveCmd runs the platform by a configuration file.
type serveCmd struct {
	Config string `help:"Configuration file, aorta.toml; every top-level key may also come as AORTA_<KEY>." env:"AORTA_CONFIG" type:"existingfile"`
	Knobs  struct {
		BaseTime       string `help:"Overrides base_time. Times are 200ms, 90s, 1m30s, or a number of seconds."`
		LimitTime      string `help:"Overrides limit_time."`
		LookupSchedule string `help:"Overrides lookup_schedule, such as 5s,30s,2m."`
		CallbackUnit   string `help:"Overrides callback_unit."`
		TLSCert        string `help:"Overrides tls_cert."`
		TLSKey         string `help:"Overrides tls_key."`
	} `embed:""`
}

// Run serves until it is told to stop.
func (c serveCmd) Run(ctx context.Context, s streams, log *slog.Logger) error {
	flags := map[string]string{
		"AORTA_BASE_TIME": c.Knobs.BaseTime, "AORTA_LIMIT_TIME": c.Knobs.LimitTime, "AORTA_LOOKUP_SCHEDULE": c.Knobs.LookupSchedule,
		"AORTA_CALLBACK_UNIT": c.Knobs.CallbackUnit, "AORTA_TLS_CERT": c.Knobs.TLSCert, "AORTA_TLS_KEY": c.Knobs.TLSKey,
	}
	cfg, err := load(c.Config, func(name string) string {
		if v := flags[name]; v != "" {
			return v
		}
		return environment(name)
	})
	if err != nil {
		return err
	}
	boundMemory(cfg.Database)
	h, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer h.Close()
	fmt.Fprintf(s.err, "aorta serves: public %s, ops %s, %d projects\n", h.url(), h.opsURL, len(cfg.Projects))
	select {
	case <-ctx.Done():
		return nil
	case err := <-h.failed:
		return err
	}
}
