package storage

import (
	"crypto/rand"

	"carillon/storage/internal/kv"
)

// sessionKeyLen is how many bytes the key of sessions has.
const sessionKeyLen = 32

// metaSession is the key of the key of sessions, in the Meta space of volume 0.
var metaSession = []byte("session-key")

// SessionKey returns the secret with which a server signs the sessions of operators: 32 random bytes,
// the same ones after every restart and in every backup, and in no export of an app. The first call
// makes it, and it is durable when that returns; the caller must not change the bytes. The error is that of the disk.
func (t Tokens) SessionKey() (key []byte, err error) {
	book := &t.store.book
	fault := book.with(t.store, func(map[string]Token) {
		if book.session != nil {
			key = book.session
			return
		}
		made := make([]byte, sessionKeyLen)
		_, _ = rand.Read(made) // it never fails
		err = t.store.volumes[0].do(0, func(tx *kv.Txn) error {
			there, err := tx.Get(kv.Meta, metaSession)
			if err != nil {
				return err
			}
			if len(there) == sessionKeyLen {
				copy(made, there)
				return nil
			}
			return tx.Put(kv.Meta, metaSession, made)
		})
		if err == nil {
			book.session, key = made, made
		}
	})
	if fault != nil {
		return nil, fault
	}
	return key, err
}
