package storage

import "reflect"

// FieldKey makes the index key of a value, and says whether a field of its
// type can be indexed, for tests of the encoding.
func FieldKey(value any) ([]byte, error) {
	f, err := fieldTypeOf(reflect.TypeOf(value))
	if err != nil {
		return nil, err
	}
	return f.append(nil, reflect.ValueOf(value))
}

// Write puts a raw key, or deletes it if value is nil, for tests of the check.
// The key begins behind the app's number.
func (tx *Tx) Write(key string, value []byte) {
	k := append(tx.app.keys.number(), key...)
	if value == nil {
		tx.delete(k)
	} else {
		tx.put(k, value)
	}
}

// Keys returns the raw keys of the app that begin with prefix, both without
// the app's number.
func (tx *Tx) Keys(prefix string) []string {
	from := append(tx.app.keys.number(), prefix...)
	rows, err := tx.rows(from, after(from), false, 1<<30)
	if err != nil {
		panic(err)
	}
	var keys []string
	for _, r := range rows {
		keys = append(keys, string(r.key[numberLen:]))
	}
	return keys
}

// Written returns how many keys w's transaction has written.
func Written(w Writer) int {
	tx, _ := w.writer()
	return tx.top().m.Len()
}
