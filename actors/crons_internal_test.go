package actors

import (
	"reflect"
	"testing"
	"time"

	"carillon/storage"
)

// Every field of a trigger is either its state, which an update leaves alone, or its
// definition, of which a change is noticed.
func TestG22_ATriggerIsItsDefinitionAndItsState(t *testing.T) {
	filled := storage.Trigger{
		CatchUp: storage.CatchUp{Mode: storage.CatchUpAll}, Retry: &storage.Retry{Limit: 1}, LastError: &storage.JobError{Code: "c"},
		CreatedAt: time.Unix(1, 0), Anchor: time.Unix(1, 0), Next: time.Unix(1, 0), Decided: time.Unix(1, 0), LastSlot: time.Unix(1, 0),
		LastEndedAt: time.Unix(1, 0), LastSuccess: time.Unix(1, 0), LastSuccessAt: time.Unix(1, 0), Args: []byte("1"), Claims: []byte("1"),
		Marks: []storage.TriggerMark{{Era: 1}}, Tags: []string{"x"}, Spent: []storage.SlotSpan{{Merged: true}}, Backfill: &storage.Backfill{Slots: 1},
	}
	v := reflect.ValueOf(&filled).Elem()
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		if !v.Type().Field(i).IsExported() {
			continue // what package storage knows of the row
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString("x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int64:
			f.SetInt(1)
		case reflect.Uint64:
			f.SetUint(1)
		}
		if f.IsZero() {
			t.Fatalf("%s is not set", name)
		}
		var one, state storage.Trigger
		reflect.ValueOf(&one).Elem().Field(i).Set(f)
		copyState(&state, &one)
		isState := !reflect.ValueOf(state).Field(i).IsZero()
		isDefinition := !sameDefinition(&storage.Trigger{}, &one)
		if isState == isDefinition {
			t.Errorf("%s is state: %t, definition: %t", name, isState, isDefinition)
		}
	}
}
