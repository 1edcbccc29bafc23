package actors_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G26: a store that is backed up while it works, and restored beside the original, is whole:
// what was done is done, and what is to come will come, in both, once in each.
func TestG26_BackupWhileRunning(t *testing.T) {
	k := newKit()
	pair := k.mutation("t:pair", func(ctx *dispatch.MutationCtx, name string) error {
		if _, err := addEntry.Run(ctx, "a"+name); err != nil {
			return err
		}
		_, err := addEntry.Run(ctx, "b"+name)
		return err
	})
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		time.Sleep(time.Minute)
		_, err := addEntry.Run(ctx, name)
		return err
	})
	apps := []storage.AppID{"acme", "globex", "initech", "hooli"}
	opts := actors.Options{Functions: k.reg, Volumes: 3, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for _, app := range apps {
			for i := range 30 {
				mustAfter(t, h, app, time.Duration(i)*time.Millisecond, pair.With(fmt.Sprint(i)))
			}
			mustAfter(t, h, app, time.Hour, addEntry.With("later"))
			mustAfter(t, h, app, 0, slow.With("once"), dispatch.AtMostOnce())
		}
		h.Advance(15 * time.Millisecond)
		var all, more bytes.Buffer
		info, err := h.Engine.Backup(h.Context(), &all, "")
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(2 * time.Millisecond)
		if info, err = h.Engine.Backup(h.Context(), &more, info.Position); err != nil || info.Since == "" {
			t.Fatalf("what came since: %+v, %v", info, err)
		}
		dir := filepath.Join(t.TempDir(), "made")
		if _, err := storage.Restore(h.Context(), dir, &all, &more); err != nil {
			t.Fatal(err)
		}
		opts.Testing.NoSync = true
		restored, err := actors.Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(2 * time.Hour)
		for _, eng := range []*actors.Engine{h.Engine, restored} {
			for _, id := range apps {
				app := must[*actors.App](t)(eng.App(id))
				names := must[[]string](t)(listEntries.Run(app.As(h.Context(), nil), none{}))
				for i := range 30 {
					if a, b := count(names, fmt.Sprint("a", i)), count(names, fmt.Sprint("b", i)); a != 1 || b != 1 {
						t.Errorf("app %s: pair %d happened %d and %d times", id, i, a, b)
					}
				}
				// It was running, so in the restored store it was interrupted.
				if once, later := count(names, "once"), count(names, "later"); later != 1 || once != map[bool]int{true: 1}[eng == h.Engine] {
					t.Errorf("app %s: %d ran once, %d later", id, once, later)
				}
			}
		}
		if err := restored.Check(); err != nil {
			t.Error(err)
		}
		if err := restored.Close(context.Background()); err != nil {
			t.Error(err)
		}
		_, err = restored.Backup(h.Context(), io.Discard, "")
		wantCode(t, err, dispatch.CodeUnavailable)
		_, err = h.Engine.Backup(h.Context(), io.Discard, "nonsense")
		wantCode(t, err, dispatch.CodeInvalidArgument)
	})
}
