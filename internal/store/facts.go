package store

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Facts are what an operator must know of a PostgreSQL server.
type Facts struct {
	Version        int       // 150004 is 15.4
	Now            time.Time // the server's clock
	Fsync          string    // "on", or a crash of the machine loses money
	SyncCommit     string    // of a connection as ours are; "off" loses what was acknowledged
	FullPageWrites string    // "on", or a crash may tear pages
	MinWAL         int64     // bytes of log that are kept to be written over
}

// Facts asks the server.
func (p *Postgres) Facts(ctx context.Context) (Facts, error) {
	var f Facts
	var version string
	var us int64
	err := p.pool.QueryRow(ctx, `SELECT current_setting('server_version_num'), current_setting('fsync'), current_setting('synchronous_commit'),
current_setting('full_page_writes'), pg_size_bytes(current_setting('min_wal_size')), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`).
		Scan(&version, &f.Fsync, &f.SyncCommit, &f.FullPageWrites, &f.MinWAL, &us)
	if err == nil {
		f.Version, err = strconv.Atoi(version)
	}
	if err != nil {
		return f, fmt.Errorf("ask the server: %w", err)
	}
	f.Now = time.UnixMicro(us).UTC()
	return f, nil
}
