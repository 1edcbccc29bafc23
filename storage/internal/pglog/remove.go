package pglog

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Remove takes the log at the address away with all that it has, if there is one: its schema, with whatever else is in
// that. It asks no node. It blocks as Open does, and until PostgreSQL has removed the files or ctx ends.
func Remove(ctx context.Context, address string) error {
	return connected(ctx, address, func(c *conn, schema string) error {
		_, err := c.Exec(ctx, `DROP SCHEMA IF EXISTS `+pgx.Identifier{schema}.Sanitize()+` CASCADE`)
		return err
	})
}
