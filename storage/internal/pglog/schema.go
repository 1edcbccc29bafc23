package pglog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrLater says that the schema was made by a later release.
var ErrLater = errors.New("schema of the log was made by a later release")

// migrations bring a schema from each version to the next. They add, and take nothing away
// that an earlier release reads; those that stand here do not change any more.
var migrations = []string{
	`CREATE TABLE shard (
		id bigint PRIMARY KEY,
		epoch bigint NOT NULL,
		claim bytea NOT NULL,
		tries bigint NOT NULL DEFAULT 0,
		trimmed bigint NOT NULL DEFAULT 0,
		folded bigint NOT NULL DEFAULT 0
	);
	CREATE TABLE log (
		shard bigint NOT NULL,
		seq bigint NOT NULL,
		epoch bigint NOT NULL,
		claim bytea NOT NULL,
		data bytea NOT NULL,
		PRIMARY KEY (shard, seq)
	);
	CREATE TABLE point (
		shard bigint NOT NULL,
		key bytea NOT NULL,
		value bytea NOT NULL,
		PRIMARY KEY (shard, key)
	);`,
	// A shard's owner refers to its node: none is forgotten that owns any.
	`CREATE TABLE node (
		id text PRIMARY KEY,
		name text NOT NULL,
		address text NOT NULL,
		release text NOT NULL,
		ttl interval NOT NULL,
		joined timestamptz NOT NULL,
		beat timestamptz NOT NULL,
		leaving boolean NOT NULL DEFAULT false,
		retired timestamptz,
		gone boolean NOT NULL DEFAULT false
	);
	ALTER TABLE shard ADD COLUMN owner text REFERENCES node (id);
	ALTER TABLE shard ADD COLUMN taken timestamptz NOT NULL DEFAULT 'epoch';
	ALTER TABLE shard ADD COLUMN why text NOT NULL DEFAULT '';
	ALTER TABLE meta ADD COLUMN server text NOT NULL DEFAULT '';`,
	`ALTER TABLE node ADD COLUMN unheard timestamptz;
	ALTER TABLE shard ADD COLUMN attempt bigint NOT NULL DEFAULT 0;`,
	// What a node's copies lack, which is unknown of one that does not say it.
	`ALTER TABLE node ADD COLUMN lag interval;`,
}

// metaThere says whether a schema has a log.
const metaThere = `SELECT EXISTS (SELECT FROM information_schema.tables WHERE table_schema = $1 AND table_name = 'meta')`

// migrate makes the schema, or brings it up to date, and returns what the log is. One of
// several that come at once does it, the others wait for that one.
func migrate(ctx context.Context, c *pgx.Conn, schema string, shards int) (store uint64, has int, err error) {
	for range 10 {
		store, has, err = migrateOnce(ctx, c, schema, shards)
		// Two that make the same name at once: one of them is told so.
		var said *pgconn.PgError
		if !errors.As(err, &said) || said.Code != "23505" && said.Code != "42P06" && said.Code != "42P07" && said.Code != "40001" {
			break
		}
	}
	if err != nil {
		return 0, 0, fmt.Errorf("schema %s of PostgreSQL: %w", schema, err)
	}
	return store, has, nil
}

func migrateOnce(ctx context.Context, c *pgx.Conn, schema string, shards int) (store uint64, has int, err error) {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it does not fail
	fresh := int64(binary.BigEndian.Uint64(id[:]) >> 1)
	err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, metaThere, schema).Scan(&there); err != nil {
			return err
		}
		if !there {
			_, err := tx.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{schema}.Sanitize()+`;
				CREATE TABLE meta (id int PRIMARY KEY CHECK (id = 1), version int NOT NULL, store bigint NOT NULL, shards int NOT NULL)`)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `INSERT INTO meta (id, version, store, shards) VALUES (1, 0, $1, $2)`, fresh, shards); err != nil {
				return err
			}
		}
		var version int
		var is int64
		if err := tx.QueryRow(ctx, `SELECT version, store, shards FROM meta FOR UPDATE`).Scan(&version, &is, &has); err != nil {
			return err
		}
		if store = uint64(is); version > len(migrations) {
			return fmt.Errorf("%w: its version is %d, this one has %d", ErrLater, version, len(migrations))
		}
		if version == len(migrations) {
			return nil
		}
		for _, step := range migrations[version:] {
			if _, err := tx.Exec(ctx, step); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `UPDATE meta SET version = $1`, len(migrations))
		return err
	})
	return store, has, err
}
