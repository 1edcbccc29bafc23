package main

import (
	"context"
	"database/sql"
	"path/filepath"

	_ "github.com/mattn/go-sqlite3" // registers the driver

	"carillon/cmd/carillon/workload"
)

// sqliteOptions make every commit durable; see README.md.
const sqliteOptions = "?_journal=WAL&_synchronous=FULL&_timeout=10000&_txlock=immediate&_cache_size=-65536"

// openSQLite opens the database in dir with the table of documents. One
// connection is what goqite's documentation says, and faster for both: writers
// wait in line instead of trying again and again.
func openSQLite(ctx context.Context, dir string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "queue.db")+sqliteOptions)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS docs (tenant INTEGER, id INTEGER, n INTEGER NOT NULL, text TEXT NOT NULL, PRIMARY KEY (tenant, id)) WITHOUT ROWID")
	return db, err
}

// inTx runs fn in a transaction.
func inTx(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback() // what went wrong is told
		return err
	}
	return tx.Commit()
}

// fillSQLite implements workload.Documents.
func fillSQLite(ctx context.Context, db *sql.DB, documents int) error {
	return inTx(ctx, db, func(tx *sql.Tx) error {
		for tenant := range 64 {
			for id := range documents {
				if _, err := tx.ExecContext(ctx, "INSERT INTO docs VALUES (?, ?, 0, 'what a note of a few words has')", tenant, id); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// bumpSQLite reads a document and writes it.
func bumpSQLite(ctx context.Context, tx *sql.Tx, tenant, document int) (n int, err error) {
	var text string
	if err := tx.QueryRowContext(ctx, "SELECT n, text FROM docs WHERE tenant = ? AND id = ?", tenant, document).Scan(&n, &text); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, "UPDATE docs SET n = ?, text = ? WHERE tenant = ? AND id = ?", n+1, text, tenant, document)
	return n + 1, err
}

// none is a query that is true when no row fits.
func none(ctx context.Context, db *sql.DB, query string, args ...any) error {
	return until(ctx, func() (done bool, err error) {
		err = db.QueryRowContext(ctx, "SELECT NOT EXISTS ("+query+")", args...).Scan(&done)
		return done, err
	})
}

// ownUsage is what a system in this process has used.
func ownUsage() workload.Usage { return server{}.usage() }
