//go:build seeded

package storage

import (
	"os"

	"carillon/storage/internal/kv"
)

var planted = os.Getenv("CARILLON_SEEDED")

// seeded says whether the package is to have the known fault of that name.
func seeded(fault string) bool { return fault == planted }

// answerEarly tells everybody that the change sets are durable, before they are.
func answerEarly(batch []*changeSet) {
	for _, cs := range batch {
		cs.done(nil)
		cs.done = func(error) {}
	}
}

// commitTriggers commits what the batch says of triggers, before all the rest.
func (v *volume) commitTriggers(writes []batchWrite) error {
	err := v.update(func(tx *kv.Txn) error {
		for _, w := range writes {
			if tag(w.key[numberLen]) != tagTrigger || w.deleted {
				continue
			}
			if err := tx.Put(kv.Data, []byte(w.key), w.value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return v.fault("committed")
}
