// Package postgres has the log of a store in PostgreSQL, which several nodes share. A program that does
// not import it links nothing that speaks to PostgreSQL.
//
//	log := postgres.Log("postgres://carillon@db/carillon")
//	is, err := log.Migrate(ctx, 64) // once, with a role that may make a schema
//	node, err := storage.Join(ctx, "cache", storage.Options{Log: log, Node: storage.Node{Name: "a"}})
//	store, err := node.Own(ctx) // when no other node does
//	<-store.Lost()              // it may be another one's
//	err = store.Close()
package postgres
