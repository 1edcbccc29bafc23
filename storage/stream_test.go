package storage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"testing"
	"time"

	gproto "google.golang.org/protobuf/proto"

	"carillon/proto"
	"carillon/storage"
)

// streamMagic opens an exported app.
const streamMagic = "carillon app export\n"

// streamRecord is one record of an exported app.
type streamRecord struct {
	kind byte
	body []byte
}

// mustExport exports the app.
func mustExport(tb testing.TB, s *storage.Store, id storage.AppID) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := s.Export(tb.Context(), id, &b); err != nil {
		tb.Fatalf("export %s: %v", id, err)
	}
	return b.Bytes()
}

// splitStream takes an exported app apart.
func splitStream(tb testing.TB, stream []byte) (records []streamRecord) {
	tb.Helper()
	rest, ok := bytes.CutPrefix(stream, []byte(streamMagic))
	if !ok {
		tb.Fatalf("the stream begins with %.20q", stream)
	}
	for len(rest) > 0 {
		n, width := binary.Uvarint(rest[1:])
		if width <= 0 || uint64(len(rest)) < 1+uint64(width)+n {
			tb.Fatalf("the stream ends in a record of %d bytes", n)
		}
		end := 1 + uint64(width) + n
		records = append(records, streamRecord{rest[0], rest[1+width : end]})
		rest = rest[end:]
	}
	return records
}

// joinStream puts records together to a stream as they are.
func joinStream(records []streamRecord) []byte {
	stream := []byte(streamMagic)
	for _, r := range records {
		stream = append(stream, r.kind)
		stream = binary.AppendUvarint(stream, uint64(len(r.body)))
		stream = append(stream, r.body...)
	}
	return stream
}

// sealStream makes a stream of the entries, with a header and a trailer that
// are right, whatever the entries say.
func sealStream(tb testing.TB, entries []*proto.ExportEntry) []byte {
	tb.Helper()
	encode := func(m gproto.Message) []byte {
		body, err := gproto.Marshal(m)
		if err != nil {
			tb.Fatal(err)
		}
		return body
	}
	records := []streamRecord{{'H', encode(&proto.ExportHeader{Version: 1, App: "acme"})}}
	for _, e := range entries {
		records = append(records, streamRecord{'E', encode(e)})
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, r := range records {
		sum.Write(r.body)
	}
	trailer := &proto.ExportTrailer{Entries: uint64(len(entries)), Crc32C: sum.Sum32()}
	return joinStream(append(records, streamRecord{'T', encode(trailer)}))
}

// streamEntries reads the keys and values of an exported app.
func streamEntries(tb testing.TB, stream []byte) (entries []*proto.ExportEntry) {
	tb.Helper()
	for _, r := range splitStream(tb, stream) {
		if r.kind != 'E' {
			continue
		}
		var e proto.ExportEntry
		if err := gproto.Unmarshal(r.body, &e); err != nil {
			tb.Fatal(err)
		}
		entries = append(entries, &e)
	}
	return entries
}

// keysOf are the keys of the entries that begin with the tag, sorted.
func keysOf(entries []*proto.ExportEntry, tag byte) (keys []string) {
	for _, e := range entries {
		if e.Key[0] == tag {
			keys = append(keys, string(e.Key))
		}
	}
	slices.Sort(keys)
	return keys
}

// Dingbat is a document of the small app that tests export and import.
type Dingbat struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

var dingbats = storage.NewTable[Dingbat]("dingbats", storage.Index("by_name", "name"))

// mustTick stores the trigger "toll" with its next tick, which is a function's
// run at the slot, and logs how the slot before ended.
func mustTick(tb testing.TB, w storage.JobWriter, slot time.Time) {
	tb.Helper()
	if err := tick(w, slot); err != nil {
		tb.Fatalf("tick: %v", err)
	}
}

func tick(w storage.JobWriter, slot time.Time) error {
	id, err := w.InsertTick(storage.Job{Function: "bells:toll", Args: []byte("12"), Due: slot, Trigger: "toll", Slot: slot})
	if err != nil {
		return err
	}
	return errors.Join(
		w.LogSlot("toll", storage.Slot{From: slot.Add(-time.Hour), To: slot.Add(-time.Hour), Count: 1, Outcome: storage.SlotSkipped, Reason: "paused", At: slot}),
		w.PutTrigger(&storage.Trigger{
			Name: "toll", Spec: "0 * * * *", Zone: "Europe/Rome", Function: "bells:toll", Args: []byte("12"),
			Overlap: storage.OverlapQueue, CatchUp: storage.CatchUp{Mode: storage.CatchUpAll, Limit: 7, Window: time.Hour}, Jitter: time.Second,
			Retry: &storage.Retry{Limit: 1, Base: time.Second}, Declared: true, CreatedAt: testNow, Anchor: testNow, Next: slot, NextJob: id,
			Decided: slot.Add(-time.Hour),
		}),
	)
}

// triggerText spells all that a trigger shows, for comparison.
func triggerText(tr storage.Trigger) string {
	retry, lastError := "", ""
	if tr.Retry != nil {
		retry = retryText(tr.Retry)
	}
	if tr.LastError != nil {
		lastError = fmt.Sprintf("%+q", *tr.LastError)
	}
	ms := func(at time.Time) string {
		if at.IsZero() {
			return "never"
		}
		return strconv.FormatInt(at.UnixMilli(), 10)
	}
	return fmt.Sprintf("trigger %s spec %q zone %q %s(%s) overlap %s catch-up %+v jitter %v retry %s declared %v paused %v %q created %s anchor %s next %s %s decided %s last %s %s %s ended %s %s success %s",
		tr.Name, tr.Spec, tr.Zone, tr.Function, tr.Args, tr.Overlap, tr.CatchUp, tr.Jitter, retry, tr.Declared, tr.Paused, tr.PauseReason,
		ms(tr.CreatedAt), ms(tr.Anchor), ms(tr.Next), tr.NextJob, ms(tr.Decided), ms(tr.LastSlot), tr.LastJob, tr.LastState, ms(tr.LastEndedAt), lastError, ms(tr.LastSuccess))
}

// triggerTexts spell the triggers of the app and how their slots ended.
func triggerTexts(tb testing.TB, r storage.Reader) (lines []string) {
	tb.Helper()
	triggers, err := r.System().Triggers()
	if err != nil {
		tb.Fatal(err)
	}
	for _, trigger := range triggers {
		lines = append(lines, triggerText(trigger))
		slots, err := r.System().Slots(trigger.Name, 1000)
		if err != nil {
			tb.Fatal(err)
		}
		for _, slot := range slots {
			lines = append(lines, fmt.Sprintf("slot from %d to %d count %d %s %q job %s at %d",
				slot.From.UnixMilli(), slot.To.UnixMilli(), slot.Count, slot.Outcome, slot.Reason, slot.Job, slot.At.UnixMilli()))
		}
	}
	return lines
}

// mustFillApp gives an app something of everything: documents, an index, jobs in
// every region, one of them claimed, and a trigger with its tick and slot log.
func mustFillApp(tb testing.TB, app *storage.App) {
	tb.Helper()
	mustTx(tb, app, testNow, func(tx *storage.Tx) {
		w := tx.JobWriter()
		for i, name := range []string{"bell", "clapper", "yoke"} {
			if _, err := dingbats.Insert(w.Writer(), Dingbat{Name: name, Count: i}); err != nil {
				tb.Fatal(err)
			}
		}
		minted := mustInsert(tb, w, storage.Job{Function: "bells:ring", Args: []byte(`{"n":1}`), Due: testNow.Add(5000e6)})
		mustInsert(tb, w, storage.Job{ID: "chosen", Due: testNow.Add(1e9), Retry: &storage.Retry{Limit: 3, Base: 1e9}})
		mustInsert(tb, w, storage.Job{ID: "claimed"})
		mustClaim(tb, tx, "claimed")
		mustInsert(tb, w, storage.Job{ID: "done"})
		mustEnd(tb, tx, "done", storage.End{State: storage.StateSuccess, StartedAt: testNow})
		mustInsert(tb, w, storage.Job{ID: "dead"})
		mustEnd(tb, tx, "dead", storage.End{State: storage.StateFailed, Error: &storage.JobError{Code: "internal", Message: "oops"}})
		mustInsert(tb, w, storage.Job{ID: "again"})
		mustEnd(tb, tx, "again", storage.End{State: storage.StatePending, Due: testNow.Add(2e9), Error: &storage.JobError{Code: "internal", Message: "oops"}})
		mustInsert(tb, w, storage.Job{ID: "canceled"})
		if _, err := w.CancelJob("canceled"); err != nil {
			tb.Fatal(err)
		}
		mustJob(tb, w.Writer(), minted)
		mustTick(tb, w, testNow.Add(time.Minute))
	})
}
