// Package memlog is a log in memory that several nodes reach (storage.Options.Log), for tests of
// what takes a store over. It runs in the virtual time of testing/synctest.
//
//	log := memlog.New(4)
//	a, err := storage.Join(ctx, t.TempDir(), storage.Options{Log: log, Node: storage.Node{Name: "a"}})
//	b, err := storage.Join(ctx, t.TempDir(), storage.Options{Log: log, Node: storage.Node{Name: "b"}})
//	store, err := a.Own(ctx)
//	…
//	err = store.Close() // or a is cut off, by log.Cut("a")
//	store, err = b.Own(ctx)
package memlog
