package pglog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Remove takes the log at the address away with all that it has, if there is one: its schema, with whatever else is in
// that. It asks no node. It blocks as Open does, and until PostgreSQL has removed the files or ctx ends.
func Remove(ctx context.Context, address string) error {
	target, err := parse(address)
	if err != nil {
		return err
	}
	l := newLog(target, Options{}.withDefaults())
	defer l.end()
	c, err := l.connect(ctx, l.opts.ConnectTimeout, 0)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.Exec(ctx, `DROP SCHEMA IF EXISTS `+pgx.Identifier{target.schema}.Sanitize()+` CASCADE`); err != nil {
		return fmt.Errorf("schema %s of PostgreSQL: %w", target.schema, err)
	}
	return nil
}
