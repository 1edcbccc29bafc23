package storage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/kv"
)

// mustDamageValues flips a bit of the checksum of each value of the space that which chooses,
// in a store that is closed. It returns how many.
func mustDamageValues(tb testing.TB, dir string, space boltfile.Space, which func(key, value []byte) bool) (n int) {
	tb.Helper()
	file, err := boltfile.Open(volume(dir, 0), boltfile.Options{ReadOnly: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	pin, err := file.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	defer pin.Close()
	data, err := os.ReadFile(volume(dir, 0))
	if err != nil {
		tb.Fatal(err)
	}
	var places []int
	err = pin.Read(func(snap *boltfile.Snapshot) error {
		c := snap.Cursor(space)
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if !which(k, v) {
				continue
			}
			at := int(snap.PageOf(space, k)) * 4096
			in := bytes.Index(data[at:], append(bytes.Clone(k), 0x9c))
			if in < 0 {
				tb.Fatalf("key %x is not in the file", k)
			}
			places = append(places, at+in+len(k)+2)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	for _, at := range places {
		mustDamage(tb, volume(dir, 0), int64(at), data[at]^0x10)
	}
	return len(places)
}

// everyKind makes a store with two apps, of which the first has a key of almost every kind.
func everyKind(tb testing.TB) (dir string) {
	tb.Helper()
	dir = mustUnpack(tb, "v2")
	s := mustOpen(tb, dir, withDingbats)
	mustTx(tb, mustApp(tb, s, "acme"), testNow.Add(time.Second), func(tx *storage.Tx) {
		w := tx.JobWriter()
		if ok, err := w.HoldJob("chosen", "why"); !ok || err != nil {
			tb.Fatal(ok, err)
		}
		if _, err := w.InsertTick(storage.Job{Function: "bells:toll", Trigger: "toll", Slot: testNow, Due: testNow, CaughtUp: true}); err != nil {
			tb.Fatal(err)
		}
		for _, job := range []storage.Job{
			{ID: "laned", Pool: "tower", PoolKey: "north", Priority: 1},
			{ID: "unique", Unique: &storage.Unique{Key: "north", Policy: storage.UniqueKeep}},
			{Parent: "laned", Once: "child"},
			{ID: "last", NotAfter: testNow.Add(time.Hour)},
			{ID: "turn", Pool: "stairs", Ordered: true},
			{ID: "result"},
			{ID: "noted"},
		} {
			job.Function, job.Due = "bells:toll", testNow.Add(time.Hour)
			if _, err := w.Schedule(job); err != nil {
				tb.Fatal(err)
			}
		}
		for _, member := range []storage.JobID{"", "member"} { // the group of none ends at once
			g, err := w.NewGroup(storage.Job{Function: "bells:toll", Due: testNow})
			must(tb, err)
			if member != "" {
				mustInsert(tb, w, storage.Job{ID: member, Group: g, Due: testNow.Add(time.Hour)})
			}
			must(tb, w.SealGroup(g))
		}
		mustEnd(tb, tx, "result", storage.End{State: storage.StateSuccess, Result: []byte(`"` + strings.Repeat("ding", 100) + `"`)})
		noted := mustClaim(tb, tx, "noted")
		if ok, err := tx.SaveCheckpoint(&noted, []byte(`{"page":7}`)); !ok || err != nil {
			tb.Fatal(ok, err)
		}
		if ok, err := tx.SaveLog(&noted, logOf(1, "up the stairs")); !ok || err != nil {
			tb.Fatal(ok, err)
		}
		must(tb, tx.KeepIdempotentCall(keyOf("north", "toll"), []byte("1"), testNow))
		o, err := w.NewOperation(storage.Operation{Action: storage.OperationCancel})
		must(tb, err)
		o.Outcome = storage.OperationDone
		if ok, err := w.PutOperation(&o); !ok || err != nil {
			tb.Fatal(ok, err)
		}
		mustEnd(tb, tx, "turn", storage.End{State: storage.StatePending, Due: testNow.Add(time.Hour), Error: errOops})
	})
	mustTx(tb, mustApp(tb, s, "acme"), testNow.Add(2*time.Second), func(tx *storage.Tx) {
		for _, err := range []error{
			tx.JobWriter().PutPause(storage.Pause{Of: storage.Scope{Function: "bells:toll"}}), tx.JobWriter().SetPoolLimit("bells", 2),
		} {
			if err != nil {
				tb.Fatal(err)
			}
		}
	})
	mustTx(tb, mustApp(tb, s, "well"), testNow.Add(time.Second), func(tx *storage.Tx) {
		mustInsert(tb, tx.JobWriter(), storage.Job{})
		if _, err := dingbats.Insert(tx.Writer(), Dingbat{Name: "well"}); err != nil {
			tb.Fatal(err)
		}
	})
	mustClose(tb, s)
	return dir
}

// readAll reads all that the app has, in each way that there is, and returns what was said
// of damage.
func readAll(tb testing.TB, s *storage.Store, id storage.AppID) (said []string) {
	tb.Helper()
	failed := func(err error) {
		tb.Helper()
		if err == nil {
			return
		}
		if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), string(id)) {
			tb.Errorf("%v, want ErrCorrupt of app %s", err, id)
		}
		said = append(said, err.Error())
	}
	app, err := s.App(id)
	if failed(err); err != nil {
		return said
	}
	snap, err := app.Snapshot(testNow)
	if failed(err); err != nil {
		return said
	}
	defer snap.Close()
	r := snap.Reader()
	system := r.System()
	for job, err := range system.All(storage.JobFilter{}) {
		if failed(err); err != nil {
			break
		}
		if job.Error != nil && job.Error.Code == "data_loss" {
			said = append(said, job.Error.Message)
		}
		if _, _, err := system.Get(job.ID); err != nil {
			said = append(said, err.Error())
		}
		logs, err := system.Logs(&job)
		failed(err)
		for _, log := range logs {
			if line := log.Lines[0]; line.Level == 8 { // others than those that were logged
				said = append(said, line.Text)
			}
		}
	}
	operations, err := system.Operations(storage.OperationFilter{})
	failed(err)
	for _, o := range operations {
		if o.Error != nil {
			said = append(said, o.Error.Message)
		}
	}
	triggers, err := system.Triggers()
	failed(err)
	for _, t := range triggers {
		if t.Unreadable() {
			said = append(said, t.Fault)
		}
		slots, err := system.Slots(t.Name, 100)
		failed(err)
		for _, slot := range slots {
			if slot.Outcome == "" {
				said = append(said, slot.Reason)
			}
		}
		for _, list := range []func(string, int) ([]storage.Job, error){system.Begun, system.Late} {
			if _, err := list(t.Name, 10); err != nil {
				said = append(said, err.Error())
			}
		}
	}
	pauses, err := system.Pauses()
	failed(err)
	for _, p := range pauses {
		if p.Reason != "" {
			said = append(said, p.Reason)
		}
	}
	_, err = system.Groups(storage.GroupFilter{})
	failed(err)
	_, err = system.PoolLimits()
	failed(err)
	for _, err := range dingbats.Query(r).All() {
		failed(err)
	}
	for _, err := range dingbats.Query(r).By("by_name").All() {
		failed(err)
	}
	_, _, err = system.Waiting("tower", testNow)
	failed(err)

	// What writers read: of lanes, keys and what was scheduled once.
	tx := app.Begin(testNow)
	defer tx.Rollback(nil)
	w := tx.JobWriter()
	_, err = tx.IdempotentCall(keyOf("north", "toll"), testNow)
	failed(err)
	_, _, _, err = tx.DueIn(storage.Lane{Pool: "tower", Key: "north"}, 1, storage.Place{}, 10)
	failed(err)
	_, _, err = w.CancelDescendants(w.DescendantsOf("laned"), 10)
	failed(err)
	_, err = w.Schedule(storage.Job{Function: "bells:toll", Due: testNow, Unique: &storage.Unique{Key: "north", Policy: storage.UniqueKeep}})
	failed(err)
	if _, err = w.Schedule(storage.Job{Function: "bells:toll", Due: testNow, Parent: "laned", Once: "child"}); !errors.Is(err, storage.ErrNotFound) {
		failed(err) // else there is no such parent in the app
	}
	return said
}

// TestG37_ADamagedValueOfEachKind: of each kind of key that an app has, the values are
// damaged. What needs one is told app, volume and kind; so are the check and an export; the
// other app has what it had, and both can be written, if the damaged one can be opened at all.
func TestG37_ADamagedValueOfEachKind(t *testing.T) {
	kinds := map[byte]string{
		'm': "counters", 'q': "pending job at ", 'r': "claim of the job at ", 'w': "held job at ", 'h': "finished job at ", 'x': "dead job at ",
		'k': `place of job "`, 'c': `trigger "toll"`, 'l': `slot of trigger "toll"`, 'b': `backlog of trigger "toll"`,
		'e': "last instant of a job", 'j': "turn of a job", 'p': "lane of a job", 'y': `unique key "north"`, 'o': "what a job has scheduled once",
		's': `schema of table "dingbats"`, 't': `document "`, 'i': `entry of index "by_name" of table "dingbats"`,
		'g': "record of the ", 'f': `child of job "laned"`, 'R': "result of the job at ", 'n': "checkpoint or progress of a job", 'G': "group ", 'I': "idempotency key",
		'L': "log lines of a job", 'O': "operation ",
	}
	made := everyKind(t)
	s := mustOpen(t, made, withDingbats)
	well := mustDump(t, s, "well")
	if said := readAll(t, s, "acme"); len(said) > 0 {
		t.Fatalf("before the damage: %q", said)
	}
	var acme uint32
	err := s.ReadVolume(0, func(snap *kv.Snapshot) error {
		acme = storage.NumberOf(snap.Get(kv.Apps, []byte("acme")))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	for tag, words := range kinds {
		t.Run(string(tag), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
				t.Fatal(err)
			}
			prefix := append(binary.BigEndian.AppendUint32(nil, acme), tag)
			if mustDamageValues(t, dir, boltfile.Data, func(key, _ []byte) bool { return bytes.HasPrefix(key, prefix) }) == 0 {
				t.Fatal("there is none")
			}
			s := mustOpenLoose(t, dir, withDingbats)
			said := readAll(t, s, "acme")
			told := func(text string) bool {
				return strings.Contains(text, words) && strings.Contains(text, "volume-000.db: ")
			}
			// What a claim says is read when its job ends; of two indexes the keys are read.
			if !slices.ContainsFunc(said, told) && !strings.ContainsRune("rej", rune(tag)) {
				t.Errorf("readers are told %q, want %q and the volume", said, words)
			}
			for _, text := range said {
				if !told(text) {
					t.Errorf("a reader is told %q, want %q and the volume", text, words)
				}
			}
			for what, err := range map[string]error{"check": s.Check(), "export": s.Export(t.Context(), "acme", io.Discard)} {
				if !errors.Is(err, storage.ErrCorrupt) || !told(err.Error()) || !strings.Contains(err.Error(), "app acme: ") || strings.Contains(err.Error(), "well") {
					t.Errorf("%s: %v, want ErrCorrupt that names app, volume and %q", what, err, words)
				}
			}
			if got := mustDump(t, s, "well"); !slices.Equal(got, well) {
				t.Errorf("the other app shows %q, want %q", got, well)
			}
			if said := readAll(t, s, "well"); len(said) > 0 {
				t.Errorf("of the other app is said %q", said)
			}
			for _, id := range []storage.AppID{"well", "acme"} {
				app, err := s.App(id)
				if id == "acme" && tag == 'm' {
					if !errors.Is(err, storage.ErrCorrupt) {
						t.Errorf("app: %v", err)
					}
					continue
				}
				if err == nil {
					err = commitOne(t, app)
				}
				if err != nil {
					t.Errorf("app %s: commit: %v", id, err)
				}
			}
			if err := s.Health(); err != nil {
				t.Errorf("health: %v", err)
			}
		})
	}
}

// TestG37_ADamagedValueOfAVolume: what a volume has of its apps beside their own keys is
// damaged. The app whose it is is named; the alarms of the others come, and its own, too.
func TestG37_ADamagedValueOfAVolume(t *testing.T) {
	made := everyKind(t)
	for space, words := range map[kv.Space]string{kv.Apps: `entry of app "acme"`, kv.Alarms: "entry of the alarm index"} {
		t.Run(words, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
				t.Fatal(err)
			}
			n := mustDamageValues(t, dir, space, func(key, value []byte) bool {
				return string(key) == "acme" || bytes.HasPrefix(value, []byte("acme"))
			})
			if n == 0 {
				t.Fatal("there is none")
			}
			s := mustOpenLoose(t, dir, withDingbats)
			named := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "volume-000.db: ") {
					t.Errorf("%s: %v, want ErrCorrupt that names the volume and %q", what, err, words)
				}
			}
			named("check", s.Check())
			apps, err := s.Apps()
			_, opened := s.App("acme")
			if space == kv.Apps {
				named("apps", err)
				named("app", opened)
			} else if err != nil || opened != nil {
				t.Errorf("apps: %v, app: %v", err, opened)
			}
			if want := []storage.AppID{"a.second_APP-2", "acme", "well"}; space == kv.Alarms && !slices.Equal(apps, want) || !slices.Contains(apps, "well") {
				t.Errorf("apps are %v", apps)
			}
			var rung []storage.AppID
			err = s.Alarms(func(id storage.AppID, _ time.Time) bool { rung = append(rung, id); return true })
			if space == kv.Alarms {
				named("alarms", err)
			} else if err != nil {
				t.Error(err)
			}
			if slices.Sort(rung); !slices.Equal(rung, []storage.AppID{"a.second_APP-2", "acme", "well"}) {
				t.Errorf("alarms are those of %v", rung)
			}
			var held []string
			err = s.Held(func(id storage.AppID, by string) bool { held = append(held, fmt.Sprint(id, by)); return true })
			if space == kv.Alarms {
				named("held", err)
			} else if err != nil {
				t.Error(err)
			}
			if !slices.Equal(held, []string{"acme"}) {
				t.Errorf("jobs are held in %v", held)
			}
			app := mustApp(t, s, "well")
			if err := commitOne(t, app); err != nil {
				t.Error(err)
			}
			if space == kv.Alarms { // the next change that moves its alarm mends the index
				mustTx(t, mustApp(t, s, "acme"), testNow, func(tx *storage.Tx) {
					mustInsert(t, tx.JobWriter(), storage.Job{Due: time.UnixMilli(5)})
					if _, _, err := tx.JobWriter().DropHeld("chosen"); err != nil {
						t.Error(err)
					}
				})
				if err := s.Alarms(func(storage.AppID, time.Time) bool { return true }); err != nil {
					t.Errorf("alarms after a change: %v", err)
				}
			}
		})
	}
}
