// Package postgres has the log of a store in PostgreSQL, which several nodes share. A program that does
// not import it links nothing that speaks to PostgreSQL.
//
//	log := postgres.Log("postgres://carillon@db/carillon")
//	is, err := log.Migrate(ctx, 64) // once, with a role that may make a schema
package postgres
