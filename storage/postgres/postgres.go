package postgres

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"

	"carillon/storage"
	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// Log is the log in the PostgreSQL at the address, which is a URL or a list of settings as psql takes it.
// Besides theirs it may have schema (default carillon), and unsafe=1, with which the server is not checked
// for keeping what it acknowledges. Nothing is connected before the log is used; what is wrong with the
// address is said then.
func Log(address string) storage.SharedLog { return logAt(address) }

// logAt is the log at an address.
type logAt string

// Migrate implements storage.SharedLog. The role must be one that may make the schema, or has made it.
func (a logAt) Migrate(ctx context.Context, shards int) (storage.SharedState, error) {
	log, err := pglog.Open(ctx, string(a), pglog.Options{Shards: shards})
	if err != nil {
		return storage.SharedState{}, err
	}
	if err := log.Close(); err != nil {
		return storage.SharedState{}, err
	}
	return a.Check(ctx)
}

// Check implements storage.SharedLog.
func (a logAt) Check(ctx context.Context) (storage.SharedState, error) {
	s, err := pglog.Check(ctx, string(a))
	return storage.SharedState{ID: s.Store, Shards: s.Shards, Version: s.Version}, err
}

// Standing is who owns what. It needs no right but to read.
func (a logAt) Standing(ctx context.Context) (wal.Standing, error) {
	return pglog.Standing(ctx, string(a))
}

// Verify implements storage.SharedLog.
func (a logAt) Verify(ctx context.Context) (faults []string, err error) {
	log, err := pglog.Open(ctx, string(a), pglog.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	is, err := log.Verify(ctx)
	return is.Faults, err
}

// Beside is the log in the schema of that name, of the same database. Nothing is connected.
func (a logAt) Beside(schema string) storage.SharedLog { return logAt(inSchema(string(a), schema)) }

// inSchema is an address with another schema.
func inSchema(address, schema string) string {
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		if u, err := url.Parse(address); err == nil { // else what is wrong is said when it is used
			query := u.Query()
			query.Set("schema", schema)
			u.RawQuery = query.Encode()
			return u.String()
		}
	}
	return address + " schema=" + schema // of a name that is there twice the latter counts
}

// Remove takes the log away, with all that it has, if there is one. No node may be at work on it. The role must own the
// schema.
func (a logAt) Remove(ctx context.Context) error { return pglog.Remove(ctx, string(a)) }

// OpenShared implements storage.SharedLog.
func (a logAt) OpenShared(ctx context.Context) (wal.Shared, error) {
	return beside{logAt: a}.OpenShared(ctx)
}

// In is the log as a node has it that keeps, in its directory, the highest timeline of PostgreSQL which
// it has seen: an old primary is refused after its start, too.
func (a logAt) In(dir string) storage.SharedLog { return beside{a, filepath.Join(dir, "timeline")} }

// beside is a log with a file of the node.
type beside struct {
	logAt
	timeline string // "": none
}

// OpenShared implements storage.SharedLog.
func (b beside) OpenShared(ctx context.Context) (wal.Shared, error) {
	log, err := pglog.Open(ctx, string(b.logAt), pglog.Options{TimelineFile: b.timeline})
	if err != nil {
		return nil, err
	}
	return log, nil
}
