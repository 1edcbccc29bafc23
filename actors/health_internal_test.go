package actors

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/dispatch"
	"carillon/storage"
)

// TestG24_APanicInWhatAllAppsShare: a message at which the directory, the waker or the
// permit broker panics ends neither the actor nor the apps: Health is red until the engine
// is opened anew, and calls and due jobs go on.
func TestG24_APanicInWhatAllAppsShare(t *testing.T) {
	put := dispatch.Mutation[dispatch.None, dispatch.None]("t:put")
	reg := dispatch.NewRegistry()
	put.Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) { return dispatch.None{}, nil })
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		open := func() *Engine {
			eng, err := Open(dir, Options{Functions: reg, Volumes: 1, Testing: Testing{NoSync: true}, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			if err := eng.Health(); err != nil {
				t.Errorf("health of one just opened: %v", err)
			}
			return eng
		}
		for name, panics := range map[string]func(*Engine) (*actor.PID, any){
			"directory": func(e *Engine) (*actor.PID, any) {
				return e.directory.self, &acquireApp{id: "acme", answer: func(*appRef, error) { panic("on purpose") }}
			},
			"waker":  func(e *Engine) (*actor.PID, any) { return e.waker.self, (*appRolledOut)(nil) },
			"broker": func(e *Engine) (*actor.PID, any) { return e.broker.self, (*dropAsk)(nil) },
		} {
			eng := open()
			app, _ := eng.App("acme")
			call := func() error {
				_, err := put.Run(app.As(t.Context(), nil), dispatch.None{})
				return err
			}
			if err := call(); err != nil {
				t.Fatal(err)
			}
			eng.sys.tell(panics(eng))
			time.Sleep(time.Minute)
			if err := eng.Health(); err == nil || !strings.Contains(err.(*dispatch.Error).Err.Error(), name) {
				t.Errorf("%s: health: %v, want an error that names it", name, err)
			}
			id, err := app.Scheduler(t.Context()).RunAfter(time.Hour, put.With(dispatch.None{}))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			time.Sleep(2 * time.Hour) // it sleeps, and is woken
			if job, _, err := app.Scheduler(t.Context()).Get(id); err != nil || job.State != storage.StateSuccess {
				t.Errorf("%s: a job afterwards: %v, %v", name, job.State, err)
			}
			if err := call(); err != nil {
				t.Errorf("%s: a call afterwards: %v", name, err)
			}
			if name == "directory" {
				// The caller of the app that was entered then never leaves.
				if err := eng.abort(); err != nil {
					t.Error(err)
				}
			} else if err := eng.Close(t.Context()); err != nil {
				t.Errorf("%s: close: %v", name, err)
			}
		}
	})
}

// TestG37_APanicWhereAnAppIsOpenedIsDataLoss: an app at whose records the directory
// panics, as damage that no check has foreseen may make it, is refused with data_loss
// and by name, again and at once; apps that are open go on, and so is it when the cause
// is gone.
func TestG37_APanicWhereAnAppIsOpenedIsDataLoss(t *testing.T) {
	put := dispatch.Mutation[dispatch.None, dispatch.None]("t:put")
	reg := dispatch.NewRegistry()
	put.Handle(reg, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) { return dispatch.None{}, nil })
	dir, log := t.TempDir(), new(bytes.Buffer) // slog's handler locks
	synctest.Test(t, func(t *testing.T) {
		opts := Options{Functions: reg, Volumes: 1, MaxApps: 10, Testing: Testing{NoSync: true}, Logger: slog.New(slog.NewTextHandler(log, nil))}
		eng, err := Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		call := func(id storage.AppID) error {
			app, err := eng.App(id)
			if err != nil {
				t.Fatal(err)
			}
			_, err = put.Run(app.As(t.Context(), nil), dispatch.None{})
			return err
		}
		if err := call("open"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		store := eng.store
		eng.store = nil // what reads of it panics
		for range 2 {
			began := time.Now()
			err := call("acme")
			var told *dispatch.Error
			if !errors.As(err, &told) || told.Code != dispatch.CodeDataLoss || !strings.Contains(told.Message, "app acme") {
				t.Errorf("a call: %v, want data_loss that names the app", err)
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("the call took %v", took)
			}
		}
		// A hold of an app that cannot be looked up comes, and goes, at once.
		release, err := eng.hold(t.Context(), "acme", true)
		if err != nil {
			t.Fatal(err)
		}
		release()
		synctest.Wait()
		eng.store = store
		if !strings.Contains(log.String(), "level=ERROR msg=\"opening an app\" app=acme") {
			t.Errorf("the log does not name the app: %s", log)
		}
		if err := eng.Health(); err == nil {
			t.Error("health is green")
		}
		for _, id := range []storage.AppID{"open", "acme"} {
			if err := call(id); err != nil {
				t.Errorf("app %s afterwards: %v", id, err)
			}
		}
		if err := eng.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}
