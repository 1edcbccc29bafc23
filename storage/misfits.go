package storage

import (
	"fmt"
	"strings"

	"carillon/storage/internal/kv"
)

// A document that does not fit an index, because a field does not decode or the key
// would be too long, is left out of it and noted under a key of its own. Such documents
// were stored before the index, or by another release: a write that does not fit is
// refused. Queries by the index do not find them; all else does.

// Misfits is how many documents of a table an index leaves out. For engines.
type Misfits struct {
	App       AppID
	Table     string
	Index     string
	Documents int
}

// String says it in a line.
func (m Misfits) String() string {
	return fmt.Sprintf("app %s: table %s: index %s leaves out %d documents that do not fit it", m.App, m.Table, m.Index, m.Documents)
}

// Misfits lists the indexes of all apps that leave documents out, as committed.
func (s *Store) Misfits() (list []Misfits, err error) {
	for _, v := range s.volumes {
		err := v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Apps)
			for k, entry := c.First(); k != nil; k, entry = c.Next() {
				n, err := decodeEntry(entry)
				if err != nil {
					return fmt.Errorf("app %s: %w", k, err)
				}
				n.eachMisfit(snap, func(table, index string) bool {
					if last := len(list) - 1; last >= 0 && list[last].App == AppID(k) && list[last].Table == table && list[last].Index == index {
						list[last].Documents++
					} else {
						list = append(list, Misfits{AppID(k), table, index, 1})
					}
					return true
				})
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return list, nil
}

// Misfits counts the documents of the app that an index leaves out, once for each such
// index, as committed. It stops at 10,000.
func (a *App) Misfits() (n int, err error) {
	err = a.vol.read(func(snap *kv.Snapshot) error {
		a.keys.eachMisfit(snap, func(string, string) bool {
			n++
			return n < maxExamined
		})
		return nil
	})
	return n, err
}

// eachMisfit calls visit for each document that an index leaves out, until it returns false.
func (n keyspace) eachMisfit(snap *kv.Snapshot, visit func(table, index string) bool) {
	for k := range n.all(snap, tagMisfit) {
		table, rest, _ := strings.Cut(string(tail(k)), "\x00")
		index, _, _ := strings.Cut(rest, "\x00")
		if !visit(table, index) {
			return
		}
	}
}
