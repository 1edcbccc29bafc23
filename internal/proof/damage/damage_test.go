package damage_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/storage"
)

const damagePage = 4096

// damageNote is the document of the apps whose pages are damaged.
type damageNote struct {
	Text string `json:"text"`
	Kind string `json:"kind"`
}

var (
	damageNotes = storage.NewTable[damageNote]("damageNotes", storage.Index("kind", "kind"))
	damagePut   = dispatch.Mutation[damageNote, dispatch.None]("damage:put")
	damageCount = dispatch.Query[dispatch.None, int]("damage:count")
	damageTick  = dispatch.InternalMutation[dispatch.None, dispatch.None]("damage:tick")
)

func damageOptions() actors.Options {
	reg := dispatch.NewRegistry()
	damagePut.Handle(reg, func(ctx *dispatch.MutationCtx, n damageNote) (dispatch.None, error) {
		_, err := damageNotes.Insert(ctx.DB, n)
		return dispatch.None{}, err
	})
	damageCount.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (int, error) {
		return damageNotes.Query(ctx.DB).Count()
	})
	damageTick.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		_, err := damageNotes.Insert(ctx.DB, damageNote{Text: "tick"})
		return dispatch.None{}, err
	})
	return actors.Options{
		Functions: reg, Tables: []storage.Schema{damageNotes}, Volumes: 2, Testing: actors.Testing{NoSync: true}, Program: "damage",
		Crons:  []dispatch.Trigger{{Name: "often", Schedule: cron.Every(5 * time.Second), Call: damageTick.With(dispatch.None{})}},
		Logger: slog.New(slog.DiscardHandler),
	}
}

// damageStore is a small store of two volumes with two apps in each, and its log, which
// belongs to the files as they are when it is closed.
type damageStore struct {
	files [2][]byte
	log   string // a directory
	apps  [2][]storage.AppID
}

// damageLog is the directory of the store's log.
func damageLog(dir string) string { return filepath.Join(dir, "log") }

// lay writes the store as it was into the directory.
func (s *damageStore) lay(dir string) error {
	for i, data := range s.files {
		if err := os.WriteFile(damageFile(dir, i), data, 0o600); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(damageLog(dir)); err != nil {
		return err
	}
	return os.CopyFS(damageLog(dir), os.DirFS(s.log))
}

func damageFile(dir string, volume int) string {
	return filepath.Join(dir, fmt.Sprintf("volume-%03d.db", volume))
}

// newDamageStore makes the store, with pages of all kinds in each volume.
func newDamageStore(t *testing.T) (s damageStore) {
	dir := t.TempDir()
	var names []storage.AppID
	synctest.Test(t, func(t *testing.T) {
		eng, err := actors.Open(dir, damageOptions())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 {
			id := storage.AppID(fmt.Sprintf("app-number-%d", i))
			names = append(names, id)
			app, _ := eng.App(id)
			for j := range 12 {
				text := strings.Repeat("x", 300)
				if j == 7 {
					text = strings.Repeat("long", damagePage)
				}
				if _, err := damagePut.Run(app.As(t.Context(), nil), damageNote{text, fmt.Sprint(j)}); err != nil {
					t.Fatal(err)
				}
				delay := time.Duration(j%2) * time.Hour
				if _, err := app.Scheduler(t.Context()).RunAfter(delay, damageTick.With(dispatch.None{})); err != nil {
					t.Fatal(err)
				}
			}
		}
		time.Sleep(7 * time.Second)
		if err := eng.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	s.log = damageLog(dir)
	for i := range s.files {
		data, err := os.ReadFile(damageFile(dir, i))
		if err != nil {
			t.Fatal(err)
		}
		end := len(bytes.TrimRight(data, "\x00"))
		s.files[i] = data[:(end/damagePage+1)*damagePage]
		for _, id := range names {
			if bytes.Contains(data, []byte(id)) && len(s.apps[i]) < 2 {
				s.apps[i] = append(s.apps[i], id)
			}
		}
		if len(s.apps[i]) < 2 {
			t.Fatalf("volume %d has the apps %v: choose other names", i, s.apps[i])
		}
	}
	return s
}

// damageCase is one damage of one volume.
type damageCase struct {
	volume int
	page   int
	way    string // zeroed, flipped, bit N, cut off
	served bool   // it comes about while the store is served
}

func (c damageCase) String() string {
	return fmt.Sprintf("volume %d, page %d, %s, served %t", c.volume, c.page, c.way, c.served)
}

// apply damages the file.
func (c damageCase) apply(path string, sound []byte) error {
	at := c.page * damagePage
	if c.way == "cut off" {
		return os.Truncate(path, int64(at))
	}
	page := bytes.Clone(sound[at:][:damagePage])
	var bit int
	switch {
	case c.way == "zeroed":
		clear(page)
	case c.way == "flipped":
		for i := range page {
			page[i] ^= 0xff
		}
	default:
		if _, err := fmt.Sscanf(c.way, "bit %d", &bit); err != nil {
			return err
		}
		page[bit/8] ^= 1 << (bit % 8)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(page, int64(at))
	return errors.Join(err, f.Close())
}

// named says whether a check must name the page: it is in use, and begins with a
// header.
func (c damageCase) named(sound []byte) bool {
	if c.way == "cut off" {
		return false // everything behind is gone as well
	}
	return c.page > 1 && binary.NativeEndian.Uint64(sound[c.page*damagePage:]) == uint64(c.page) && !damageFree(sound, c.page)
}

// damageFree says whether the page is in the file's freelist.
func damageFree(data []byte, page int) bool {
	newest := 0
	if binary.NativeEndian.Uint64(data[damagePage+16+48:]) > binary.NativeEndian.Uint64(data[16+48:]) {
		newest = 1
	}
	list := data[int(binary.NativeEndian.Uint64(data[newest*damagePage+16+32:]))*damagePage:]
	for i := range int(binary.NativeEndian.Uint16(list[10:])) {
		if int(binary.NativeEndian.Uint64(list[16+8*i:])) == page {
			return true
		}
	}
	return false
}

// damageWait is how long a call may take in virtual time, whatever is damaged.
const damageWait = 12 * time.Second

// try opens the store, damages it, and uses it.
func (s *damageStore) try(t *testing.T, tally *proof.Tally, dir string, c damageCase) {
	if err := s.lay(dir); err != nil {
		t.Fatal(err)
	}
	path := damageFile(dir, c.volume)
	if !c.served {
		if err := c.apply(path, s.files[c.volume]); err != nil {
			t.Fatal(err)
		}
		s.check(tally, dir, c)
	}
	within := func(what string, fn func()) {
		began := time.Now()
		fn()
		if took := time.Since(began); took > damageWait {
			tally.Other("%v: %s took %v", c, what, took)
		}
	}
	var eng *actors.Engine
	var err error
	within("open", func() { eng, err = actors.Open(dir, damageOptions()) })
	if err != nil {
		tally.Other("%v: open: %v", c, err)
		return
	}
	if c.served {
		for i := range s.apps {
			s.use(t, tally, eng, c, i, within, true)
		}
		if err := c.apply(path, s.files[c.volume]); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for i := range s.apps {
			s.use(t, tally, eng, c, i, within, i != c.volume)
		}
		time.Sleep(11 * time.Second)
	}
	for _, id := range s.apps[1-c.volume] {
		app, _ := eng.App(id)
		triggers, err := app.Scheduler(t.Context()).Crons().List()
		if err != nil || len(triggers) == 0 {
			tally.Other("%v: the triggers of app %s: %v, %v", c, id, triggers, err)
		}
		for _, trigger := range triggers {
			if late := time.Since(trigger.LastSuccess); late > 6*time.Second {
				tally.Lost("%v: app %s has had no tick for %v", c, id, late)
			}
		}
	}
	within("health", func() { _ = eng.Health() })
	within("close", func() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := eng.Close(ctx); errors.Is(err, actors.ErrHandlers) {
			tally.Leaked("%v: close: %v", c, err)
		}
	})
}

// use calls the apps of a volume. sound says that each call must succeed.
func (s *damageStore) use(t *testing.T, tally *proof.Tally, eng *actors.Engine, c damageCase, volume int, within func(string, func()), sound bool) {
	for _, id := range s.apps[volume] {
		app, _ := eng.App(id)
		calls := []struct {
			what string
			fn   func() error
		}{
			{"mutation", func() error {
				_, err := damagePut.Run(app.As(t.Context(), nil), damageNote{"new", "1"})
				return err
			}},
			{"query", func() error { _, err := damageCount.Run(app.As(t.Context(), nil), dispatch.None{}); return err }},
			{"schedule", func() error {
				_, err := app.Scheduler(t.Context()).RunAfter(time.Second, damageTick.With(dispatch.None{}))
				return err
			}},
			{"list", func() error { _, err := app.Scheduler(t.Context()).List(storage.JobFilter{}); return err }},
		}
		for _, call := range calls {
			within(call.what, func() {
				err := call.fn()
				if err == nil {
					return
				}
				code := dispatch.AsError(err).Code
				if sound || code != dispatch.CodeDataLoss && code != dispatch.CodeUnavailable && code != dispatch.CodeUnknown {
					tally.Other("%v: %s of app %s: %v", c, call.what, id, err)
				}
			})
		}
	}
}

// check demands that a check of the store names the damage.
func (s *damageStore) check(tally *proof.Tally, dir string, c damageCase) {
	store, err := storage.Open(dir, storage.Options{ReadOnly: true, CheckTrigger: dispatch.CheckStored})
	if err != nil {
		tally.Other("%v: open to be checked: %v", c, err)
		return
	}
	err = store.Check()
	if closed := store.Close(); closed != nil {
		tally.Other("%v: close of what was checked: %v", c, closed)
	}
	if !c.named(s.files[c.volume]) {
		return
	}
	name := fmt.Sprintf("volume-%03d.db: page %d: ", c.volume, c.page)
	listed := fmt.Sprintf("freelist (page %d)", c.page) // which says other pages than it should
	if err == nil || !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), listed) {
		tally.Other("%v: the check says %v, want %q in it", c, err, name)
	}
}

// TestG37_DamagedPages damages each page of a small store, before it is opened and
// while it is served under a memory map: zeroed, flipped, each bit of its header, and
// cut off with all behind it, so that reads fail. The apps of the other volume are
// served and their triggers tick, nothing hangs or dies, and a check names the page.
func TestG37_DamagedPages(t *testing.T) {
	tally := proof.NewTally(t, "damaged pages")
	s := newDamageStore(t)
	dir := t.TempDir()
	step := proof.Pick(211, 181, 1)
	n := proof.Seed(0)
	end := time.Now().Add(proof.For(time.Hour, time.Hour, 24*time.Hour))
	for volume := range s.files {
		for page := range len(s.files[volume]) / damagePage {
			ways := []string{"zeroed", "flipped", "cut off"}
			for bit := range 16 * 8 {
				ways = append(ways, fmt.Sprintf("bit %d", bit))
			}
			for _, way := range ways {
				for _, served := range []bool{false, true} {
					if n++; n%step != 0 || time.Now().After(end) {
						continue
					}
					tally.Tried(1)
					c := damageCase{volume, page, way, served}
					synctest.Test(t, func(t *testing.T) { s.try(t, tally, dir, c) })
				}
			}
		}
	}
}
