package dispatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"carillon/storage"
)

// MaxIdempotencyKey bounds an idempotency key: 1 to that many characters of visible ASCII.
const MaxIdempotencyKey = 255

// ErrResultNotKept is the cause of the error of a repeat whose call was applied, with a result
// that was too long to be kept (storage.MaxIdempotentResult). Its code is already_exists.
var ErrResultNotKept = errors.New("the call was applied; its result was too long to be kept")

// WithIdempotencyKey has the mutation that is called within the context be applied once, and the
// job that is scheduled by a HostScheduler made with it be scheduled once, however often that is
// repeated with the key: a repeat is answered with what the first one has come to, and runs
// nothing. One context is for one call. The key is of the app, of the identity that calls (all
// that are anonymous are one), and of the function.
//
// The outcome is kept in the commit of the call, for storage.IdempotencyFor. A call that failed
// keeps nothing, and can be repeated. Two calls at once are one after the other. invalid_argument
// if the key is no key, was that of a call with other arguments, or is given to an action; a
// query does without it. resource_exhausted if it is new, and the app keeps as many as it may;
// nothing was changed then.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, &KeyedCall{Key: key})
}

// WithOperatorKey is WithIdempotencyKey of a call on behalf of an operator, whose keys are apart
// from those of all identities.
func WithOperatorKey(ctx context.Context, operator, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, &KeyedCall{Key: key, Operator: &operator})
}

// SessionKeyFor is how long the key of a session's call is kept.
const SessionKeyFor = time.Hour

// WithSessionKey is WithIdempotencyKey of a request of a client's session, whichever identity it has by
// then. The keys of a session are apart from all others, and kept for SessionKeyFor: a client sends again
// only what was not answered when its connection was lost. When an app keeps as many keys as it may, those
// of sessions give way to any new one, the oldest first: they have no call be refused.
func WithSessionKey(ctx context.Context, session, request string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, &KeyedCall{Key: request, session: &session})
}

type idempotencyKey struct{}

// KeyedCall is the idempotency key that a context has. For engines.
type KeyedCall struct {
	Key      string
	Operator *string // on behalf of whom; nil: of the identity that calls

	session *string // of which it is; nil: of none
}

// TakeIdempotencyKey returns the key that the context has, nil if it has none, and the context
// without it, for what the call runs. The error is an *Error. For engines.
func TakeIdempotencyKey(ctx context.Context) (context.Context, *KeyedCall, error) {
	key, _ := ctx.Value(idempotencyKey{}).(*KeyedCall)
	if key == nil {
		return ctx, nil, nil
	}
	ok := len(key.Key) >= 1 && len(key.Key) <= MaxIdempotencyKey
	for _, c := range []byte(key.Key) {
		ok = ok && c > ' ' && c < 0x7f
	}
	if !ok {
		return ctx, nil, Errorf(CodeInvalidArgument, "the idempotency key has %d bytes, want 1 to %d of visible ASCII", len(key.Key), MaxIdempotencyKey)
	}
	return context.WithValue(ctx, idempotencyKey{}, (*KeyedCall)(nil)), key, nil
}

// Of is the key of a call of the function at path.
func (k *KeyedCall) Of(path string, identity *Identity, args json.RawMessage) storage.IdempotencyKey {
	var short bytes.Buffer
	if json.Compact(&short, args) == nil {
		args = short.Bytes()
	}
	if len(args) == 0 || string(args) == "null" {
		args = json.RawMessage("{}")
	}
	key := storage.IdempotencyKey{Name: k.name(path, identity), Fingerprint: digest("call", string(args))}
	if k.session != nil {
		key.For, key.Spare = SessionKeyFor, true
	}
	return key
}

// OfAfter is the key of a call of RunAfter, which the planner has planned.
func (k *KeyedCall) OfAfter(p Planner, d time.Duration, call Call, opts []RunOption) (storage.IdempotencyKey, error) {
	return k.ofSchedule(p, "after", epoch.Add(d), call, opts)
}

// OfAt is the key of a call of RunAt, which the planner has planned.
func (k *KeyedCall) OfAt(p Planner, t time.Time, call Call, opts []RunOption) (storage.IdempotencyKey, error) {
	return k.ofSchedule(p, "at", t, call, opts)
}

// epoch is the instant at which a call is planned to say what it asks: the same for a repeat.
var epoch = time.UnixMilli(1).UTC()

// ofSchedule is the key of a call whose job would be due then if it was scheduled at the epoch.
// What the function's declaration says is no part of it: it may change between a call and its repeat.
func (k *KeyedCall) ofSchedule(p Planner, how string, due time.Time, call Call, opts []RunOption) (storage.IdempotencyKey, error) {
	name := k.name(call.path, p.Identity)
	p.bare, p.Clock, p.Now, p.Parent, p.Trace = true, nil, epoch, "", nil
	job, err := p.plan(epoch, due, call, opts)
	if err != nil {
		return storage.IdempotencyKey{}, err
	}
	return storage.IdempotencyKey{Name: name, Fingerprint: digest("schedule", how, spelled(&job))}, nil
}

// name is of an app's keys that of the caller's for the function.
func (k *KeyedCall) name(path string, identity *Identity) [32]byte {
	kind, who := "anonymous", ""
	switch {
	case k.session != nil:
		kind, who = "session", *k.session
	case k.Operator != nil:
		kind, who = "operator", *k.Operator
	case identity != nil:
		kind, who = "subject", identity.Subject
	}
	return digest(kind, who, path, k.Key)
}

// digest is a hash of the texts, of which no other list has the same.
func digest(texts ...string) (sum [32]byte) {
	h := sha256.New()
	for _, text := range texts {
		h.Write(binary.AppendUvarint(nil, uint64(len(text))))
		h.Write([]byte(text))
	}
	h.Sum(sum[:0])
	return sum
}

// spelled spells the job without fields that say nothing, so that a later release, whose jobs have
// more of them, spells the same.
func spelled(job *storage.Job) string {
	said := map[string]any{}
	for field, v := range reflect.ValueOf(*job).Fields() {
		if field.IsExported() && field.Name != "Then" && !v.IsZero() {
			said[field.Name] = v.Interface()
		}
	}
	text, _ := json.Marshal(said) // numbers, texts, instants and structures of them
	if job.Then == nil {
		return string(text)
	}
	return string(text) + spelled(job.Then)
}
