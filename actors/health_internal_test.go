package actors

import (
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
