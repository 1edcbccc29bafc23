package actors_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
)

// G37: a trigger whose record cannot be read says so where triggers are listed. The
// others tick, and new ones are declared; its record is not written over.
func TestG37_ATriggerThatCannotBeReadHurtsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, ran := t.TempDir(), map[string]int{}
		count := dispatch.InternalMutation[string, dispatch.None]("count:up")
		touch := dispatch.Mutation[dispatch.None, dispatch.None]("count:touch")
		logged := &errorLines{}
		open := func(names ...string) *actors.Engine {
			reg := dispatch.NewRegistry()
			count.Handle(reg, func(_ *dispatch.MutationCtx, name string) (dispatch.None, error) {
				ran[name]++
				return dispatch.None{}, nil
			})
			touch.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
				_, err := ctx.Scheduler.RunAfter(0, count.With("touch"))
				return dispatch.None{}, err
			})
			opts := actors.Options{Functions: reg, Volumes: 1, Testing: actors.Testing{NoSync: true}, Logger: logged.logger()}
			for i, name := range names {
				opts.Crons = append(opts.Crons, dispatch.Trigger{Name: name, Schedule: cron.Every(time.Duration(10+i) * time.Second), Call: count.With(name)})
			}
			eng, err := actors.Open(dir, opts)
			if err != nil {
				t.Fatal(err)
			}
			return eng
		}
		shut := func(eng *actors.Engine) {
			if err := eng.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		eng := open("bad", "good")
		app, err := eng.App("acme")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := touch.Run(app.As(t.Context(), nil), dispatch.None{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		shut(eng)

		// Of the record, which begins with its version and its spec.
		file := filepath.Join(dir, "volume-000.db")
		version := func(from, to string) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			spec := "\x12\x0a@every 10s"
			if !bytes.Contains(data, []byte("\x08"+from+spec)) {
				t.Fatal("the record is not found")
			}
			if err := os.WriteFile(file, bytes.ReplaceAll(data, []byte("\x08"+from+spec), []byte("\x08"+to+spec)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		version("\x01", "\x02")
		clear(ran)
		eng = open("bad", "good", "new")
		time.Sleep(time.Minute)
		synctest.Wait()
		if ran["bad"] != 0 || ran["good"] < 5 || ran["new"] < 4 {
			t.Errorf("ran: %v", ran)
		}
		if app, err = eng.App("acme"); err != nil {
			t.Fatal(err)
		}
		infos, err := app.Scheduler(t.Context()).Crons().List()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, info := range infos {
			names = append(names, info.Name)
			if bad := info.Name == "bad"; strings.Contains(info.Fault, "checksum") != bad || (len(info.Upcoming) == 0) != bad {
				t.Errorf("trigger %s: fault %q, %d to come", info.Name, info.Fault, len(info.Upcoming))
			}
		}
		if !slices.Equal(names, []string{"bad", "good", "new"}) {
			t.Errorf("listed are %q", names)
		}
		for _, line := range logged.all() {
			if !strings.Contains(line, "trigger=bad") {
				t.Errorf("logged: %s", line)
			}
		}
		if n := len(logged.all()); n == 0 || n > 3 {
			t.Errorf("logged are %d lines: %q", n, logged.all())
		}
		shut(eng)

		version("\x02", "\x01")
		eng = open("bad", "good", "new")
		time.Sleep(time.Minute)
		synctest.Wait()
		if ran["bad"] < 5 {
			t.Errorf("with its record back the trigger has run %d times", ran["bad"])
		}
		if err := eng.Check(); err != nil {
			t.Error(err)
		}
		shut(eng)
	})
}

// TestG37_ADamagedTriggerCanBeDeleted: a trigger whose record cannot be read, or that
// of its pending tick, is deleted like any other. The store is sound afterwards, the
// name is free, and nothing of the old one runs.
func TestG37_ADamagedTriggerCanBeDeleted(t *testing.T) {
	for what, record := range map[string]string{"trigger": "\x12\x0d@every 2h0m0s", "tick": "\x12\x15cron:bad:"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				var ran atomic.Int64
				count := dispatch.InternalMutation[dispatch.None, dispatch.None]("count:up")
				reg := dispatch.NewRegistry()
				count.Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) {
					ran.Add(1)
					return dispatch.None{}, nil
				})
				open := func() (*actors.Engine, dispatch.Crons) {
					eng, err := actors.Open(dir, actors.Options{Functions: reg, Volumes: 1, Testing: actors.Testing{NoSync: true}, Logger: quiet})
					if err != nil {
						t.Fatal(err)
					}
					app, _ := eng.App("acme")
					return eng, app.Scheduler(t.Context()).Crons()
				}
				shut := func(eng *actors.Engine) {
					if err := errors.Join(eng.Check(), eng.Close(t.Context())); err != nil {
						t.Error(err)
					}
				}
				def := dispatch.Trigger{Name: "bad", Schedule: cron.Every(2 * time.Hour), Call: count.With(dispatch.None{})}
				eng, crons := open()
				if err := crons.Create(def); err != nil {
					t.Fatal(err)
				}
				shut(eng)
				file := filepath.Join(dir, "volume-000.db")
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Contains(data, []byte("\x08\x01"+record)) {
					t.Fatal("the record is not found")
				}
				if err := os.WriteFile(file, bytes.ReplaceAll(data, []byte("\x08\x01"+record), []byte("\x08\x02"+record)), 0o600); err != nil {
					t.Fatal(err)
				}
				eng, crons = open()
				if err := eng.Check(); err == nil {
					t.Error("the check finds nothing")
				}
				if err := crons.Delete("bad"); err != nil {
					t.Fatal(err)
				}
				if infos, err := crons.List(); err != nil || len(infos) > 0 {
					t.Errorf("listed are %v, %v", infos, err)
				}
				time.Sleep(125 * time.Minute)
				if n := ran.Load(); n > 0 {
					t.Errorf("it has run %d times", n)
				}
				if err := crons.Create(def); err != nil {
					t.Errorf("the name again: %v", err)
				}
				time.Sleep(125 * time.Minute)
				if n := ran.Load(); n != 1 {
					t.Errorf("the new one has run %d times", n)
				}
				shut(eng)
			})
		})
	}
}
