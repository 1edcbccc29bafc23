package storage_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"carillon/proto"
	"carillon/storage"
)

// reseal writes an exported app anew, each entry as edit leaves it (false: left
// out), with the checksum that goes with them.
func reseal(t *testing.T, stream []byte, edit func(e *proto.ExportEntry) bool, more ...*proto.ExportEntry) []byte {
	t.Helper()
	magic, rest, ok := bytes.Cut(stream, []byte("\n"))
	if !ok {
		t.Fatal("the stream has no first line")
	}
	out := bytes.NewBuffer(append(bytes.Clone(magic), '\n'))
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	put := func(kind byte, body []byte) {
		out.Write(binary.AppendUvarint([]byte{kind}, uint64(len(body))))
		out.Write(body)
	}
	entries := uint64(0)
	entry := func(e *proto.ExportEntry) {
		body, err := e.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(body)
		entries++
		put('E', body)
	}
	for len(rest) > 0 {
		kind := rest[0]
		n, width := binary.Uvarint(rest[1:])
		body := rest[1+width:][:n]
		rest = rest[1+width+int(n):]
		switch kind {
		case 'E':
			var e proto.ExportEntry
			if err := e.UnmarshalVT(body); err != nil {
				t.Fatal(err)
			}
			if edit(&e) {
				entry(&e)
			}
		case 'T':
			for _, e := range more {
				entry(e)
			}
			body, err := (&proto.ExportTrailer{Entries: entries, Crc32C: sum.Sum32()}).MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			put('T', body)
		default:
			sum.Write(body)
			put(kind, body)
		}
	}
	return out.Bytes()
}

// G26: an import takes nothing that no app of ours could have, and leaves nothing
// behind when it refuses.
func TestG26_ImportRefusesWhatCannotBe(t *testing.T) {
	impossible := errors.New("no such day comes")
	s := mustOpen(t, t.TempDir(), storage.Options{Tables: withDingbats.Tables, CheckTrigger: func(t *storage.Trigger) error {
		if t.Spec == "0 0 30 2 *" {
			return impossible
		}
		return nil
	}})
	app := mustApp(t, s, "acme")
	tx := app.Begin(testNow)
	mustInsert(t, tx.JobWriter(), storage.Job{Function: "a:b", Args: []byte(`{"n":1}`), Due: testNow})
	mustInsert(t, tx.JobWriter(), storage.Job{ID: "chosen", Args: []byte(`{"n":"123456"}`)})
	if _, err := dingbats.Insert(tx.Writer(), Dingbat{Name: "bell"}); err != nil {
		t.Fatal(err)
	}
	if err := tx.JobWriter().PutTrigger(&storage.Trigger{Name: "toll", Spec: "0 0 11 2 *", Zone: "UTC", Function: "a:b", Args: []byte(`{"n":2}`), Paused: true, CreatedAt: testNow}); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, tx)
	var exported bytes.Buffer
	if err := s.Export(context.Background(), "acme", &exported); err != nil {
		t.Fatal(err)
	}
	same := func(*proto.ExportEntry) bool { return true }
	replace := func(tag byte, old, by string) func(e *proto.ExportEntry) bool {
		return func(e *proto.ExportEntry) bool {
			if e.Key[0] == tag {
				e.Value = bytes.Replace(e.Value, []byte(old), []byte(by), 1)
			}
			return true
		}
	}
	for _, tt := range []struct {
		name   string
		stream []byte
		want   string // "": taken
	}{
		{"as it was", reseal(t, exported.Bytes(), same), ""},
		{"more behind its end", append(reseal(t, exported.Bytes(), same), 0), "goes on after its end"},
		{"a key of an unknown kind", reseal(t, exported.Bytes(), same, &proto.ExportEntry{Key: []byte("Zx"), Value: []byte("y")}), "unknown kind"},
		{"arguments of a job that are no JSON", reseal(t, exported.Bytes(), replace('q', `{"n":1}`, `{"n":1(`)), "not JSON"},
		{"arguments of a job that are no UTF-8", reseal(t, exported.Bytes(), replace('q', `{"n":1}`, "{\"\xff\":1}")), "not JSON"},
		{"arguments of a job with half a surrogate pair", reseal(t, exported.Bytes(), replace('q', `{"n":"123456"}`, `{"n":"\ud83d"}`)), "not JSON"},
		{"arguments of a trigger that are no JSON", reseal(t, exported.Bytes(), replace('c', `{"n":2}`, `{"n":2(`)), "not JSON"},
		{"a trigger whose name no URL can have", reseal(t, exported.Bytes(), func(e *proto.ExportEntry) bool {
			if e.Key[0] == 'c' {
				e.Key = []byte("c../toll")
			}
			return true
		}), "trigger name"},
		{"a job whose id nobody can choose", reseal(t, exported.Bytes(), func(e *proto.ExportEntry) bool {
			e.Key = bytes.Replace(e.Key, []byte("chosen"), []byte("cho/en"), 1)
			e.Value = bytes.Replace(e.Value, []byte("chosen"), []byte("cho/en"), 1)
			return true
		}), "cho/en"},
		{"a document that is no UTF-8", reseal(t, exported.Bytes(), replace('t', "bell", "b\xffll")), "not a JSON object"},
		{"a spec that never comes", reseal(t, exported.Bytes(), replace('c', "0 0 11 2 *", "0 0 30 2 *")), impossible.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := storage.AppID("copy-" + strings.ReplaceAll(tt.name, " ", "-"))
			if len(id) > 60 {
				id = id[:60]
			}
			err := s.Import(context.Background(), id, bytes.NewReader(tt.stream))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("import: %v, want %q", err, tt.want)
			}
			if err := s.Free(id); (err == nil) != (tt.want != "") {
				t.Errorf("after the import its name is free: %v", err)
			}
		})
	}
}
