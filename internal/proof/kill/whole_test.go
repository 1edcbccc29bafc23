package kill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// killWhole is the path of what concerns an app as a whole, for which the server
// has no routes: GET exports it, PUT imports it, DELETE deletes it.
const killWhole = "/whole/{app}"

// wholeHandler serves killWhole.
func wholeHandler(eng *actors.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := storage.AppID(r.PathValue("app"))
		var out bytes.Buffer
		var err error
		switch r.Method {
		case http.MethodGet:
			err = eng.Export(r.Context(), id, &out)
		case http.MethodPut:
			err = eng.Import(r.Context(), id, r.Body)
		case http.MethodDelete:
			err = eng.Delete(r.Context(), id)
		}
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			e := dispatch.AsError(err)
			_ = json.NewEncoder(w).Encode(killRefusal{e.Code, e.Message})
			return
		}
		_, _ = w.Write(out.Bytes())
	}
}

// killCheck is the path at which the server verifies its store.
const killCheck = "/check"

// checkHandler serves killCheck.
func checkHandler(eng *actors.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := eng.Check(); err != nil {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(killRefusal{dispatch.CodeInternal, err.Error()})
		}
	}
}

// killMover makes an app, exports it, deletes it and imports its copy, again and
// again, beside the clients and through all lives of the server.
type killMover struct {
	loop  *killLoop
	moves []*killMove
}

// killMove is one round of it. What is not said to be done may have been.
type killMove struct {
	key       string // of the counter, and of the action
	n         int    // jobs that count
	scheduled bool
	exported  bool
	deleted   bool
	reports   int // that the observer had when it was
	imported  bool
	asked     bool // to import
	copied    string
}

// killMoved is the app that is made again and again.
const killMoved = "moved"

// run makes moves while the loop goes on. An error that is no *killRefusal is a
// kill, after which a new move begins in the next life.
func (k *killMover) run() error {
	for life := k.loop.serving(0); life != nil && !k.loop.stopped(); k.loop.pause(20 * time.Millisecond) {
		err := k.move(life)
		var refused *killRefusal
		if errors.As(err, &refused) {
			return fmt.Errorf("move %d: %w", len(k.moves), err)
		}
		if err != nil {
			life = k.loop.serving(life.number + 1)
		}
	}
	return nil
}

func (k *killMover) move(life *killLife) error {
	i := len(k.moves)
	if i > 0 && !k.moves[i-1].deleted { // what is left of a move that was cut off does not get into the next
		_, err := k.loop.whole(life, http.MethodDelete, killMoved, nil)
		var refused *killRefusal
		if err != nil && !(errors.As(err, &refused) && refused.Code == dispatch.CodeNotFound) {
			return err
		}
		k.moves[i-1].reports, k.moves[i-1].deleted = k.loop.observer.count(), true
	}
	m := &killMove{key: fmt.Sprint("move-", i), n: 1 + rand.IntN(20), copied: fmt.Sprint("copy-", i)}
	k.moves = append(k.moves, m)
	later := map[string]any{"key": m.key, "n": m.n, "afterMs": rand.IntN(60)}
	if err := k.loop.call(life, killMoved, "counters:later", later, new(any)); err != nil {
		return err
	}
	m.scheduled = true
	k.loop.pause(time.Duration(rand.IntN(60)) * time.Millisecond)
	stream, err := k.loop.whole(life, http.MethodGet, killMoved, nil)
	if err != nil {
		return err
	}
	m.exported = true
	act := map[string]any{"Key": m.key, "Ms": rand.IntN(100), "AfterMs": rand.IntN(30)}
	if err := k.loop.call(life, killMoved, "observer:later", act, new(storage.JobID)); err != nil {
		return err
	}
	k.loop.pause(time.Duration(rand.IntN(40)) * time.Millisecond)
	if _, err := k.loop.whole(life, http.MethodDelete, killMoved, nil); err != nil {
		return err
	}
	m.reports, m.deleted = k.loop.observer.count(), true
	m.asked = true
	if _, err := k.loop.whole(life, http.MethodPut, m.copied, stream); err != nil {
		return err
	}
	m.imported = true
	return nil
}

// whole sends one request of killWhole.
func (l *killLoop) whole(life *killLife, method, app string, body []byte) ([]byte, error) {
	return l.raw(life, method, "/whole/"+app, body)
}

// raw sends a request to a path that is none of the server's own routes.
func (l *killLoop) raw(life *killLife, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, life.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode == http.StatusOK {
		return data, err
	}
	refused := new(killRefusal)
	if err := json.Unmarshal(data, refused); err != nil {
		return nil, err
	}
	return nil, refused
}

// String says how many of its moves have come how far.
func (k *killMover) String() string {
	deleted, imported := 0, 0
	for _, m := range k.moves {
		if m.deleted {
			deleted++
		}
		if m.imported {
			imported++
		}
	}
	return fmt.Sprintf("%d apps were made, %d were deleted and %d imported for all that was told", len(k.moves), deleted, imported)
}

// apps are the names of all apps that moves have made.
func (k *killMover) apps() []string {
	names := []string{killMoved}
	for _, m := range k.moves {
		if m.asked {
			names = append(names, m.copied)
		}
	}
	return names
}

// verify demands that what was deleted is gone, and that each copy is the app as of
// one instant: what had been counted by then and what was still to be counted are
// all there is. A copy whose import was cut off is that, or nothing.
func (k *killMover) verify(life *killLife) {
	l := k.loop
	for i, m := range k.moves {
		gone, maybe := false, false
		for _, later := range k.moves[i:] {
			gone, maybe = gone || later.deleted, maybe || later.exported && !later.deleted
		}
		n, err := k.count(life, killMoved, m.key)
		switch {
		case err != nil:
			l.tally.Other("counter %s: %v", m.key, err)
		case gone && n > 0:
			l.tally.Doubled("app %s was deleted, and has counted %d for %s", killMoved, n, m.key)
		case !gone && !maybe && m.scheduled && n != m.n:
			l.tally.Lost("counter %s is %d, want %d", m.key, n, m.n)
		}
		if m.deleted && l.observer.heardAfter(m.key, m.reports) {
			l.tally.Doubled("app %s was deleted, and then %s began", killMoved, m.key)
		}
		if !m.asked {
			continue
		}
		n, err = k.count(life, m.copied, m.key)
		switch {
		case err != nil:
			l.tally.Other("counter %s of app %s: %v", m.key, m.copied, err)
		case n > m.n:
			l.tally.Doubled("counter %s of app %s is %d, want %d", m.key, m.copied, n, m.n)
		case n < m.n && (n > 0 || m.imported):
			l.tally.Lost("counter %s of app %s is %d, want %d (imported: %v)", m.key, m.copied, n, m.n, m.imported)
		}
	}
}

func (k *killMover) count(life *killLife, app, key string) (int, error) {
	var counter struct{ Count int }
	err := k.loop.call(life, app, "counters:get", map[string]any{"key": key}, &counter)
	return counter.Count, err
}

// heardAfter says whether an action of that key has begun since the first reports.
func (j *killJournal) heardAfter(key string, reports int) bool {
	for _, r := range j.reports[reports:] {
		if r.Key == key && !r.Ended {
			return true
		}
	}
	return false
}
