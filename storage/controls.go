package storage

import (
	"bytes"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// What a person controls in an app while it runs: what is paused, and limits of pools
// that win over the declared ones.
//
//	number ‖ 'g' ‖ 'a'                     the app is paused
//	number ‖ 'g' ‖ 'f' ‖ path              a function is
//	number ‖ 'g' ‖ 'p' ‖ pool ‖ 0 ‖ key    a pool is, or a key of one
//	number ‖ 'g' ‖ 'l' ‖ pool              the limit of a pool
//
// The turn has all of it in memory, too: there are MaxControls at most.
const (
	controlApp      = 'a'
	controlFunction = 'f'
	controlPool     = 'p'
	controlLimit    = 'l'
)

// Bounds of what is controlled: MaxControls is how many pauses and limits of pools an app
// may have together, MaxPauseReason and MaxPauseBy how long the texts of a pause may be,
// in bytes of UTF-8.
const (
	MaxControls    = 1000
	MaxPauseReason = 1024
	MaxPauseBy     = 256
)

// maxFunction bounds a function's path, which is part of keys (wal.MaxKey), in bytes. What can be
// registered is shorter by far.
const maxFunction = 2048

// Scope is what of an app a pause is of: all of it, a function, or a pool or a key of one.
// dispatch.OfApp, OfFunction and OfPool make one.
type Scope struct {
	App      bool   // all of it
	Function string // path; "" is none
	Pool     string // "" is none
	PoolKey  string // within the pool; "" is all of it
}

// String names the scope: "the app", "function notes:burn", "pool stripe", or "key "u1" of
// pool users".
func (s Scope) String() string {
	switch {
	case s.Function != "":
		return "function " + s.Function
	case s.PoolKey != "":
		return "key " + strconv.Quote(s.PoolKey) + " of pool " + s.Pool
	case s.Pool != "":
		return "pool " + s.Pool
	}
	return "the app"
}

// Check says what is wrong with the scope, with ErrInvalid, or nil.
func (s Scope) Check() error {
	of := 0
	for _, is := range []bool{s.App, s.Function != "", s.Pool != "" || s.PoolKey != ""} {
		if is {
			of++
		}
	}
	switch {
	case of != 1:
		return fmt.Errorf("%w: a pause is of the app, a function or a pool: of one, and not of %d", ErrInvalid, of)
	case len(s.Function) > maxFunction || !utf8.ValidString(s.Function):
		return fmt.Errorf("%w: function %s is not UTF-8 of at most %d bytes", ErrInvalid, quote(s.Function), maxFunction)
	case s.Pool != "":
		if err := CheckPoolName(s.Pool); err != nil {
			return err
		}
	case s.PoolKey != "":
		return fmt.Errorf("%w: pool key %s without a pool", ErrInvalid, quote(s.PoolKey))
	}
	return CheckPoolKey(s.PoolKey)
}

// Pause is why something of an app is paused, since when, and who has done it.
type Pause struct {
	Of     Scope
	By     string    // who has paused it; "" is not said
	Reason string    // "" is none
	Since  time.Time // when it was paused first
}

// String says what a job that waits for the end of the pause says.
func (p Pause) String() string {
	text := p.Of.String() + " is paused"
	if p.By != "" {
		text += " by " + p.By
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

func (p *Pause) check() error {
	if err := p.Of.Check(); err != nil {
		return err
	}
	for _, text := range []struct {
		what, is string
		most     int
	}{{"reason of a pause", p.Reason, MaxPauseReason}, {"who pauses", p.By, MaxPauseBy}} {
		if len(text.is) > text.most || !utf8.ValidString(text.is) {
			return fmt.Errorf("%w: %s is %d bytes, want at most %d of UTF-8", ErrInvalid, text.what, len(text.is), text.most)
		}
	}
	return nil
}

// Controls are the pauses of an app, and the limits of its pools that were set at run
// time. They are not changed: others take their place. For engines.
type Controls struct {
	Pauses map[Scope]Pause
	Limits map[string]int // by pool
}

// Controls are those of the last change submitted; nil if there are none. Any goroutine
// may ask.
func (a *App) Controls() *Controls { return a.controls.Load() }

func (n keyspace) pause(s Scope) []byte {
	b := n.prefix(tagControl)
	switch {
	case s.Function != "":
		return append(append(b, controlFunction), s.Function...)
	case s.Pool != "":
		b = append(append(b, controlPool), s.Pool...)
		return append(append(b, 0), s.PoolKey...)
	}
	return append(b, controlApp)
}

func (n keyspace) poolLimit(pool string) []byte {
	return append(append(n.prefix(tagControl), controlLimit), pool...)
}

// scopeOf is what the rest of a key says is paused. ok is false if that is no pause.
func scopeOf(rest []byte) (s Scope, ok bool) {
	if len(rest) == 0 {
		return s, false
	}
	switch name := string(rest[1:]); rest[0] {
	case controlApp:
		s.App = name == ""
	case controlFunction:
		s.Function = name
	case controlPool:
		s.Pool, s.PoolKey, ok = strings.Cut(name, "\x00")
		return s, ok && s.Pool != ""
	}
	return s, s.App || s.Function != ""
}

// controlName names what the rest of a key is about.
func controlName(rest []byte) string {
	if s, ok := scopeOf(rest); ok {
		return "pause of " + s.String()
	}
	if len(rest) > 0 && rest[0] == controlLimit {
		return "limit of pool " + quote(string(rest[1:]))
	}
	return "app, which names nothing"
}

func encodePause(p *Pause) []byte {
	r := proto.Pause{Version: recordVersion, By: p.By, Reason: p.Reason, SinceMs: msOf(p.Since)}
	return encoded(r.MarshalVT())
}

func decodePause(of Scope, data []byte) (Pause, error) {
	var r proto.Pause
	if err := unmarshal(data, &r, &r.Version); err != nil {
		return Pause{Of: of}, fmt.Errorf("pause of %s: %w", of, err)
	}
	return Pause{Of: of, By: r.By, Reason: r.Reason, Since: timeOf(r.SinceMs)}, nil
}

func decodePoolLimit(pool string, data []byte) (int, error) {
	var r proto.PoolLimit
	if err := unmarshal(data, &r, &r.Version); err != nil {
		return 0, fmt.Errorf("limit of pool %s: %w", pool, err)
	}
	return int(r.Limit), nil
}

// shownPause is a pause as it stands in memory and in listings: what it is of is certain,
// though why cannot be read.
func shownPause(of Scope, data []byte) Pause {
	p, err := decodePause(of, data)
	if err != nil {
		p.Reason = cannotRead(err)
	}
	return p
}

// set notes what a key under the tag says.
func (c *Controls) set(rest, value []byte, deleted bool) {
	of, paused := scopeOf(rest)
	switch {
	case paused && deleted:
		delete(c.Pauses, of)
	case paused:
		c.Pauses[of] = shownPause(of, value)
	case len(rest) == 0 || rest[0] != controlLimit:
	case deleted:
		delete(c.Limits, string(rest[1:]))
	default:
		// One that cannot be read is told to those who read it; the declared one stands.
		if n, err := decodePoolLimit(string(rest[1:]), value); err == nil {
			c.Limits[string(rest[1:])] = n
		}
	}
}

// noteControls keeps in memory what a change set says of them.
func (a *App) noteControls(b *buffer) {
	prefix := string(a.keys.prefix(tagControl))
	var next *Controls
	b.m.Ascend(prefix, func(key string, w write) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		if next == nil {
			next = &Controls{Pauses: map[Scope]Pause{}, Limits: map[string]int{}}
			if was := a.controls.Load(); was != nil {
				maps.Copy(next.Pauses, was.Pauses)
				maps.Copy(next.Limits, was.Limits)
			}
		}
		next.set([]byte(key[len(prefix):]), w.value, w.deleted)
		return true
	})
	if next != nil {
		a.controls.Store(next)
	}
}

// loadControls reads them from the file, whose counters those are.
func (a *App) loadControls(snap *kv.Snapshot, c counts) {
	if c.controls == 0 {
		return
	}
	all := &Controls{Pauses: map[Scope]Pause{}, Limits: map[string]int{}}
	for k, v := range a.keys.all(snap, tagControl) {
		all.set(bytes.Clone(tail(k)), v, false)
	}
	a.controls.Store(all)
}

// PutPause pauses what the pause is of, or gives it another reason: then it is paused
// since when it was. Errors: ErrInvalid, ErrLimit if there are MaxControls already, ErrTxLimit.
func (w JobWriter) PutPause(p Pause) error {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	if err := p.check(); err != nil {
		return err
	}
	key := tx.app.keys.pause(p.Of)
	data, err := tx.get(key)
	if err != nil {
		return err
	}
	p.Since = timeOf(tx.now.UnixMilli())
	if data != nil {
		was, err := decodePause(p.Of, data)
		if err != nil {
			return fmt.Errorf("app %s: %w", tx.app.id, err)
		}
		if p.Since = was.Since; was == p {
			return nil
		}
	}
	if err := w.v.putControl(key, encodePause(&p), data == nil); err != nil {
		return err
	}
	tx.top().counts.paused = tx.top().counts.paused || p.Of.App
	return nil
}

// DropPause ends the pause of the scope. ok is false if there is none.
func (w JobWriter) DropPause(of Scope) (ok bool, err error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	if err := of.Check(); err != nil {
		return false, err
	}
	ok, err = tx.dropControl(tx.app.keys.pause(of))
	if ok && of.App {
		tx.top().counts.paused = false
	}
	return ok, err
}

// SetPoolLimit gives the pool a limit that wins over the declared one. Errors are those of
// PutPause.
func (w JobWriter) SetPoolLimit(pool string, limit int) error {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	if err := CheckPoolName(pool); err != nil {
		return err
	}
	key := tx.app.keys.poolLimit(pool)
	data, err := tx.get(key)
	if err != nil {
		return err
	}
	r := proto.PoolLimit{Version: recordVersion, Limit: uint32(limit)}
	value := encoded(r.MarshalVT())
	if data != nil {
		if was, err := decodePoolLimit(pool, data); err != nil || was == limit {
			return err
		}
	}
	return w.v.putControl(key, value, data == nil)
}

// DropPoolLimit has the declared limit of the pool count again. ok is false if it does.
func (w JobWriter) DropPoolLimit(pool string) (ok bool, err error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	if err := CheckPoolName(pool); err != nil {
		return false, err
	}
	return tx.dropControl(tx.app.keys.poolLimit(pool))
}

func (v *view) putControl(key, value []byte, fresh bool) error {
	c := &v.tx.top().counts
	if fresh && c.controls >= MaxControls {
		return fmt.Errorf("%w: app %s has %d pauses and limits of pools, as many as it may", ErrLimit, v.app.id, c.controls)
	}
	if err := v.spare(0, 1, len(key)+len(value)); err != nil {
		return err
	}
	if fresh {
		c.controls++
	}
	v.tx.put(key, value)
	return nil
}

func (tx *Tx) dropControl(key []byte) (ok bool, err error) {
	data, err := tx.get(key)
	if err != nil || data == nil {
		return false, err
	}
	tx.delete(key)
	tx.top().counts.controls--
	return true, nil
}

// ChangesControls says whether the transaction has written a pause or a limit of a pool.
func (tx *Tx) ChangesControls() (yes bool) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.over {
		return false
	}
	prefix := string(tx.app.keys.prefix(tagControl))
	tx.layers[0].m.Ascend(prefix, func(key string, _ write) bool {
		yes = strings.HasPrefix(key, prefix)
		return false
	})
	return yes
}

// Pauses returns what is paused: the app, then functions and pools by name.
func (s System) Pauses() (list []Pause, err error) {
	err = s.controls(func(rest, value []byte) error {
		if of, ok := scopeOf(rest); ok {
			list = append(list, shownPause(of, value))
		}
		return nil
	})
	return list, err
}

// PoolLimits returns the limits of pools that were set at run time, by name.
func (s System) PoolLimits() (map[string]int, error) {
	limits := map[string]int{}
	err := s.controls(func(rest, value []byte) (err error) {
		if rest[0] == controlLimit {
			limits[string(rest[1:])], err = decodePoolLimit(string(rest[1:]), value)
		}
		return err
	})
	return limits, err
}

func (s System) controls(each func(rest, value []byte) error) error {
	prefix := s.of.keys.prefix(tagControl)
	for r, err := range s.of.scan(prefix, after(prefix), false) {
		if err != nil {
			return err
		}
		if rest := tail(r.key); len(rest) > 0 {
			if err := each(rest, r.value); err != nil {
				return fmt.Errorf("app %s: %w", s.of.app.id, err)
			}
		}
	}
	return nil
}

// control verifies the record of a pause, or of a pool's limit.
func (c *jobCheck) control(rest, value []byte) {
	c.got.controls++
	of, paused := scopeOf(rest)
	var err error
	switch {
	case paused:
		var p Pause
		if p, err = decodePause(of, value); err == nil {
			err = p.check()
		}
		c.got.paused = c.got.paused || of.App
	case len(rest) > 0 && rest[0] == controlLimit:
		if _, err = decodePoolLimit(string(rest[1:]), value); err == nil {
			err = CheckPoolName(string(rest[1:]))
		}
	default:
		c.bad("key %x of what is paused", rest)
	}
	if err != nil {
		c.failed(fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
}
