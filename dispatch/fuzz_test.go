package dispatch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"carillon/dispatch"
	"carillon/storage"
)

// decoding decodes arguments of one type: as a function's run does, and as
// whoever schedules the function, whose answer must be the same.
type decoding interface {
	try(t *testing.T, raw []byte)
}

type decodingOf[A any] struct {
	reg *dispatch.Registry
	fn  *dispatch.Function
	got A // what the handler was given last
}

func newDecoding[A any]() decoding {
	d := &decodingOf[A]{reg: dispatch.NewRegistry()}
	dispatch.Mutation[A, none]("a:b").Handle(d.reg, func(_ *dispatch.MutationCtx, args A) (none, error) {
		d.got = args
		return none{}, nil
	})
	d.fn, _ = d.reg.Lookup("a:b")
	return d
}

// try demands the verdict and the value of a plain strict decoder.
func (d *decodingOf[A]) try(t *testing.T, raw []byte) {
	t.Helper()
	want, ok := strictly[A](raw)
	_, ran := d.fn.RunMutation(dispatch.Env{Registry: d.reg}, noWriter(), raw)
	_, stored, planned := d.reg.Schedulable(dispatch.Path("a:b").With(json.RawMessage(raw)), dispatch.Limits{})
	for what, err := range map[string]error{"run": ran, "schedule": planned, "check": d.fn.CheckArgs(raw)} {
		if (err == nil) != ok {
			t.Fatalf("%T from %q: %s says %v, a strict decoder %v", want, raw, what, err, ok)
		}
		if err == nil {
			continue
		}
		e := dispatch.AsError(err)
		if e.Code != dispatch.CodeInvalidArgument || !dispatch.IsPermanent(err) && what != "schedule" {
			t.Fatalf("%T from %q: %s: code %s, permanent %v", want, raw, what, e.Code, dispatch.IsPermanent(err))
		}
		if !strings.HasPrefix(e.Message, "args: ") || len(e.Message) > dispatch.MaxMessage || !utf8.ValidString(e.Message) {
			t.Fatalf("%T from %q: %s: message %q", want, raw, what, e.Message)
		}
	}
	if !ok {
		return
	}
	if !reflect.DeepEqual(d.got, want) {
		t.Fatalf("%T from %q: the function was given %#v, want %#v", want, raw, d.got, want)
	}
	if _, err := d.fn.RunMutation(dispatch.Env{Registry: d.reg}, noWriter(), stored); err != nil || !reflect.DeepEqual(d.got, want) {
		t.Fatalf("%T from %q: stored as %q it is %#v, %v", want, raw, stored, d.got, err)
	}
}

// strictly is the oracle: one JSON value, of UTF-8 and without half a surrogate
// pair, no unknown fields, names in their own case and none twice, MaxDepth levels,
// and null only where nil is a value.
func strictly[A any](raw []byte) (args A, ok bool) {
	kind := reflect.TypeFor[A]().Kind()
	raw = bytes.Trim(raw, " \t\r\n")
	null := string(raw) == "null"
	switch {
	case len(raw) == 0 && kind != reflect.Slice:
		raw = []byte("{}")
	case null && (kind == reflect.Struct || kind == reflect.Map || kind == reflect.Pointer || kind == reflect.Interface):
		raw = []byte("{}")
	case len(raw) == 0:
		raw = []byte("null")
	case null && kind != reflect.Slice:
		return args, false
	}
	if depthOf(raw) > dispatch.MaxDepth {
		return args, false
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if dec.Decode(&args) != nil {
		return args, false
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) || !utf8.Valid(raw) || halfPair(raw) {
		return args, false
	}
	names := json.NewDecoder(bytes.NewReader(raw))
	return args, ownNames(names, reflect.TypeFor[A]())
}

// halfPair says whether a surrogate is written that is no half of a pair.
func halfPair(raw []byte) bool {
	escape := regexp.MustCompile(`\\\\|(?i:\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})`)
	return regexp.MustCompile(`(?i)\\ud[89a-f]`).Match(escape.ReplaceAll(raw, nil))
}

// ownNames reads one value of a valid text and says whether each name in it stands
// once, and in the case of the field that it is for, and each array has its elements.
func ownNames(dec *json.Decoder, typ reflect.Type) bool {
	for typ != nil && typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	token, _ := dec.Token()
	delim, _ := token.(json.Delim)
	if delim != '{' && delim != '[' {
		return true
	}
	ok, seen, elements := true, map[string]bool{}, 0
	for ; dec.More(); elements++ {
		var inside reflect.Type
		switch {
		case delim == '{':
			token, _ := dec.Token()
			name, _ := token.(string)
			ok = ok && !seen[name]
			seen[name] = true
			if typ != nil && typ.Kind() == reflect.Struct {
				own := false
				for i := range typ.NumField() {
					if typ.Field(i).Tag.Get("json") == name {
						own, inside = true, typ.Field(i).Type
					}
				}
				ok = ok && own
			}
		case typ != nil && (typ.Kind() == reflect.Slice || typ.Kind() == reflect.Array):
			inside = typ.Elem()
		}
		if typ != nil && typ.Kind() == reflect.Map {
			inside = typ.Elem()
		}
		ok = ownNames(dec, inside) && ok
	}
	_, _ = dec.Token()
	return ok && (typ == nil || typ.Kind() != reflect.Array || elements == typ.Len())
}

// depthOf counts levels by tokens. What is not JSON has those that it opens.
func depthOf(raw []byte) (deepest int) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	for depth := 0; ; {
		token, err := dec.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		deepest = max(deepest, depth)
	}
}

// FuzzArgs: whatever a client sends as arguments is decoded strictly, with one
// answer at the call and at the schedule (D2), or refused with a message to the
// caller (D5), whatever was decoded before it.
func FuzzArgs(f *testing.F) {
	for _, raw := range []string{
		``, ` `, `null`, `{}`, `[]`, `{"n":1,"s":"x","list":[{"b":true}],"in":{"b":false}}`, `{"n":1,"n":"x"}`, `{"N":1}`,
		`{"x":1}`, `{"in":{"x":1}}`, `[{"b":true},{"x":1}]`, `{"n":9223372036854775808}`, `{"n":1e400}`, `{"f":1e400}`, `{"small":-0}`,
		`{"n":1}{"n":2}`, `{}]`, `{"s":"\ud800"}`, "{\"s\":\"\xff\"}", "{\"\xff\":1}", `{"at":"2026-02-30T00:00:00Z"}`, `{"raw":"A"}`,
		`"x" "y"`, `7 8`, `-`, `{"s":"` + strings.Repeat("x", 5000) + `"}`, `{"` + strings.Repeat("y", 5000) + `":1}`,
		strings.Repeat(`[`, 64) + strings.Repeat(`]`, 64), strings.Repeat(`[`, 65) + strings.Repeat(`]`, 65),
		`{"s":"\ud83d\ude00"}`, `{"s":"\\ud800"}`, `{"\ud800":1}`, `{"s":"\ude00\ud83d"}`, `{"in":{"B":true}}`, "{\"\u212aey\":1}", `[{"b":true},{"b":true},{}]`, `{"a":{"k":1,"k":2}}`,
		strings.Repeat(`{"a":`, 65), strings.Repeat(`[`, 20000), `["` + strings.Repeat(`[`, 100) + `"]`,
	} {
		f.Add([]byte(raw))
	}
	decodings := []decoding{
		newDecoding[payload](), newDecoding[*payload](), newDecoding[any](), newDecoding[map[string]payload](), newDecoding[[]inner](),
		newDecoding[[2]inner](), newDecoding[storage.ID[payload]](), newDecoding[int](), newDecoding[float64](), newDecoding[bool](), newDecoding[none](),
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, d := range decodings {
			d.try(t, raw)
		}
	})
}

// nanoseconds is the instant as a count since 1970 that cannot overflow.
func nanoseconds(at time.Time) *big.Int {
	n := new(big.Int).Mul(big.NewInt(at.Unix()), big.NewInt(1e9))
	return n.Add(n, big.NewInt(int64(at.Nanosecond())))
}

// FuzzInstants: whatever the clock, the delay and the instant, a job is due at
// the first whole millisecond that is not before what was asked for (D3), or the
// call is refused, because that instant is out of bounds.
func FuzzInstants(f *testing.F) {
	for _, s := range []int64{0, 1, -1, 1_800_000_000, storage.MaxInstant.Unix(), storage.MaxInstant.Unix() + 1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 62_135_596_800} {
		for _, d := range []int64{0, 1, -1, 999_999, 1_000_000, math.MaxInt64, math.MinInt64} {
			f.Add(s, uint32(0), d)
			f.Add(s, uint32(999_999_999), d)
		}
	}
	first, last := big.NewInt(1), nanoseconds(storage.MaxInstant)
	want := func(t *testing.T, what string, job storage.Job, err error, asked *big.Int, negative bool) {
		t.Helper()
		ok := asked.Cmp(first) >= 0 && asked.Cmp(last) <= 0 && !negative
		if !ok {
			if e := dispatch.AsError(err); e == nil || e.Code != dispatch.CodeInvalidArgument || e.Path != "a:mutation" {
				t.Fatalf("%s: error %v, due %v, want it refused", what, err, job.Due)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		late := new(big.Int).Sub(nanoseconds(job.Due), asked)
		if late.Sign() < 0 || late.Cmp(big.NewInt(int64(time.Millisecond))) >= 0 || job.Due.Nanosecond()%int(time.Millisecond) != 0 || !job.ScheduledFor.Equal(job.Due) {
			t.Fatalf("%s: due %v, scheduled for %v: %v ns late", what, job.Due, job.ScheduledFor, late)
		}
	}
	f.Fuzz(func(t *testing.T, sec int64, ns uint32, d int64) {
		at, delay := time.Unix(sec, int64(ns%1e9)), time.Duration(d)
		job, err := plannerAt(noon).At(at, mutation)
		want(t, "at", job, err, nanoseconds(at), false)

		// A clock before 1970, or one that a time.Time cannot order, is taken for its beginning.
		now := at
		if now.Before(time.UnixMilli(1)) {
			now = time.UnixMilli(1)
		}
		asked := nanoseconds(now)
		asked.Add(asked, big.NewInt(d))
		job, err = plannerAt(at).After(delay, mutation)
		want(t, "after", job, err, asked, delay < 0)
		if err == nil && (job.EnqueuedAt.After(now) || job.EnqueuedAt.After(job.Due)) {
			t.Fatalf("after: enqueued at %v, by a clock that shows %v, due %v", job.EnqueuedAt, now, job.Due)
		}

		job, err = plannerAt(noon).After(0, mutation, dispatch.Timeout(delay))
		if (err == nil) != (delay > 0) {
			t.Fatalf("timeout %v: %v", delay, err)
		}
		if err == nil && (job.Timeout <= 0 || job.Timeout%time.Millisecond != 0 || job.Timeout < delay && job.Timeout+time.Millisecond > 0) {
			t.Fatalf("timeout %v is %v", delay, job.Timeout)
		}
	})
}

// FuzzRetry: whatever the policy, it is refused, or the waits are whole
// milliseconds that never shrink, never overflow, stay within the bound, and are
// those of the policy that is stored.
func FuzzRetry(f *testing.F) {
	f.Add(6, 0, int64(30*time.Second), int64(0), 3)
	f.Add(1000, 0, int64(1), int64(0), 1000)
	f.Add(1000, 1, int64(math.MaxInt64), int64(0), 2)
	f.Add(1000, 0, int64(math.MaxInt64/2+1), int64(math.MaxInt64), 64)
	f.Add(4, 1, int64(0), int64(1), 3)
	f.Add(4, 2, int64(-1), int64(-1), -3)
	f.Fuzz(func(t *testing.T, attempts, backoff int, base, bound int64, failures int) {
		policy := dispatch.RetryPolicy{MaxAttempts: attempts, Backoff: dispatch.Backoff(backoff), Base: time.Duration(base), Max: time.Duration(bound)}
		job, err := plannerAt(noon).After(0, mutation, dispatch.WithRetry(policy))
		legal := attempts >= 0 && attempts <= dispatch.MaxAttempts && (backoff == 0 || backoff == 1) && base >= 0 && bound >= 0
		if (err == nil) != legal {
			t.Fatalf("%+v: %v", policy, err)
		}
		if err != nil {
			return
		}
		stored := dispatch.NewRegistry().RetryOf("", job.Retry)
		wait, again := stored.Next(failures)
		if attempts == 0 {
			attempts = 6
		}
		if again != (failures >= 1 && failures < attempts) {
			t.Fatalf("%+v after %d failures: again %v", stored, failures, again)
		}
		if !again {
			return
		}
		exact := new(big.Int).SetInt64(int64(stored.Base))
		if backoff == 1 {
			exact.Mul(exact, big.NewInt(int64(failures)))
		} else {
			exact.Lsh(exact, uint(failures-1))
		}
		most := int64(math.MaxInt64 / time.Millisecond * time.Millisecond)
		if stored.Max > 0 {
			most = min(most, int64(stored.Max))
		}
		if exact.Cmp(big.NewInt(most)) > 0 {
			exact.SetInt64(most)
		}
		if exact.Cmp(big.NewInt(int64(wait))) != 0 || wait%time.Millisecond != 0 {
			t.Fatalf("%+v after %d failures: waits %v, want %v ns", stored, failures, wait, exact)
		}
	})
}

// FuzzIdentity: whatever bytes are stored as an identity, reading them is an
// error or an identity that is JSON and stays the same (D6, G25).
func FuzzIdentity(f *testing.F) {
	for _, data := range []string{
		`{"subject":"ada"}`, `{"subject":"ada","claims":{"admin":true,"n":1.5,"l":[null,{"x":"y"}]}}`, `{"subject":""}`, `{}`, `null`, `[]`, ``, ` `,
		`{"subject":"ada"}]`, `{"subject":"ada"}}`, `{"subject":"ada"}{}`, `{"subject":"ada"} x`, `{"subject":"ada","token":"t"}`, `{"subject":1}`,
		`{"subject":"a","subject":"b"}`, `{"Subject":"a"}`, "{\"subject\":\"\xff\"}", `{"subject":"\ud800"}`, `{"subject":"a","claims":{"n":1e400}}`,
		`{"subject":"a","claims":{"n":12345678901234567890}}`, `{"subject":"a","claims":` + strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 101),
		`{"subject":"<&>\u2028"}`, `{"subject":"a","claims":{}}`, `{"subject":"a","claims":null}`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := dispatch.DecodeIdentity(data)
		if err != nil {
			if e := dispatch.AsError(err); e.Code != dispatch.CodeInvalidArgument && e.Code != dispatch.CodeResourceExhausted {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		if id == nil {
			if len(data) > 0 {
				t.Fatalf("%q is nobody", data)
			}
			return
		}
		if id.Subject == "" || !json.Valid(data) {
			t.Fatalf("%q is read as %+v", data, id)
		}
		mustKeep(t, id)
	})
}

// FuzzSubject: whatever the subject and a claim of a caller, the identity is
// refused at the request, or the same at the request and at the run (D6, G25).
func FuzzSubject(f *testing.F) {
	f.Add("ada", "role", "admin", uint16(0))
	f.Add("", "", "", uint16(0))
	f.Add("\xff", "\xff", "\xfe", uint16(1))
	f.Add("<script>\u2028\x00", "k", "v", uint16(64))
	f.Add(strings.Repeat("\x01", 9000), "k", "v", uint16(0))
	f.Add("deep", "k", "v", uint16(20000))
	f.Add("deep", "k", "v", uint16(9999))
	f.Fuzz(func(t *testing.T, subject, key, value string, depth uint16) {
		plain := &dispatch.Identity{Subject: subject}
		var claim any = value
		for range depth {
			claim = []any{claim}
		}
		for _, id := range []*dispatch.Identity{plain, {Subject: subject, Claims: map[string]any{key: claim}}} {
			request, err := id.Normalize()
			if err != nil {
				if e := dispatch.AsError(err); e.Code != dispatch.CodeInvalidArgument && e.Code != dispatch.CodeResourceExhausted {
					t.Fatalf("%+v: %v", id, err)
				}
				if _, err := dispatch.EncodeIdentity(id); err == nil {
					t.Fatalf("an identity of %q that no request may have can be stored", subject)
				}
				continue
			}
			if request.Subject != subject {
				t.Fatalf("subject %q becomes %q", subject, request.Subject)
			}
			mustKeep(t, request)
		}
	})
}

// mustKeep demands that the identity of a request is read back when it was stored.
func mustKeep(t *testing.T, id *dispatch.Identity) {
	t.Helper()
	data, err := dispatch.EncodeIdentity(id)
	if err != nil {
		if dispatch.AsError(err).Code == dispatch.CodeResourceExhausted {
			return // escaped it is longer than it was
		}
		t.Fatalf("%+v is not stored: %v", id, err)
	}
	again, err := dispatch.DecodeIdentity(data)
	if err != nil || again.Subject != id.Subject || len(id.Claims) > 0 && !reflect.DeepEqual(again.Claims, id.Claims) {
		t.Fatalf("%+v\nis stored as %q\nand read as %+v, %v", id, data, again, err)
	}
}
