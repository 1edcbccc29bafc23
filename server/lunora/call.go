package lunora

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"

	"carillon/internal/strictjson"
)

// MaxInstant is the latest instant that clients may send, in milliseconds since 1970.
const MaxInstant = 999_999_999_999_999

// Call is what a client sends to schedule a job. Of its fields those that are not here are not looked at.
type Call struct {
	Args           json.RawMessage `json:"args"`           // an object; left out it is an empty one
	FunctionPath   string          `json:"functionPath"`   // "namespace:function"; "" if it is a workflow
	Workflow       string          `json:"workflow"`       // the workflow's binding; "" if it is a function
	ScheduledFor   int64           `json:"scheduledFor"`   // milliseconds since 1970
	ID             *string         `json:"id"`             // nil: one is minted
	InstanceName   string          `json:"instanceName"`   // is stored, and shown again
	ShardKey       string          `json:"shardKey"`       // is stored, and shown again
	Retry          *Retry          `json:"retry"`          // nil: as the function says
	Pool           string          `json:"pool"`           // "": none
	MaxConcurrency int             `json:"maxConcurrency"` // of the pool from now on; 0: as it is
}

// Retry says how often a failed attempt is repeated, and when.
type Retry struct {
	MaxAttempts int     `json:"maxAttempts"` // after the first one; default 5
	Backoff     Backoff `json:"backoff"`     // default exponential
	BaseMs      float64 `json:"baseMs"`      // default 30,000
	MaxMs       float64 `json:"maxMs,omitempty"`
}

// Backoff is how the wait grows from one attempt to the next.
type Backoff string

// The ways to grow.
const (
	Exponential Backoff = "exponential"
	Linear      Backoff = "linear"
)

// Enum returns the ways to grow.
func (Backoff) Enum() []string { return []string{string(Exponential), string(Linear)} }

// Parse decodes a call, and looks at the target first, then at the instant, the id and the rest. An error is an
// *Error.
func Parse(body []byte) (call Call, err error) {
	fields, err := object(body)
	if err != nil {
		return call, err
	}
	f := reader{fields: fields}
	f.text("functionPath", &call.FunctionPath)
	f.text("workflow", &call.Workflow)
	switch {
	case f.err != nil:
		return call, f.err
	case call.FunctionPath == "" && call.Workflow == "":
		return call, refuse(CodeInvalidInput, "functionPath is missing, want namespace:function, or a workflow")
	case call.FunctionPath != "" && call.Workflow != "":
		return call, refuse(CodeInvalidInput, "want a functionPath or a workflow, and not both")
	}
	at, ok := f.number("scheduledFor")
	if !ok || at != math.Trunc(at) || at < 1 || at > MaxInstant {
		return call, refuse(CodeInvalidInput, "scheduledFor: want a whole number of milliseconds, 1 to %d", MaxInstant)
	}
	call.ScheduledFor = int64(at)
	if raw := f.fields["id"]; f.has("id") {
		if strictjson.Decode(raw, &call.ID) != nil || call.ID == nil {
			return call, refuse(CodeInvalidID, "id: want a text")
		}
	}
	f.text("instanceName", &call.InstanceName)
	f.text("shardKey", &call.ShardKey)
	f.text("pool", &call.Pool)
	f.retry(&call)
	f.concurrency(&call)
	if call.Args = bytes.TrimSpace(fields["args"]); !f.has("args") {
		call.Args = json.RawMessage("{}")
	}
	if f.err == nil && call.Args[0] != '{' {
		f.bad("args: want an object")
	}
	return call, f.failed()
}

// ParseCompletion decodes what a worker sends of a function that has ended. An error is an *Error.
func ParseCompletion(body []byte) (done Completion, err error) {
	if done.Pool, err = Field(body, "pool"); err != nil {
		return done, err
	}
	fields, err := object(body)
	if err != nil {
		return done, err
	}
	f := reader{fields: fields}
	f.text("id", &done.ID)
	return done, f.failed()
}

// Field is a field of a body that has to be a text of one character or more.
func Field(body []byte, name string) (string, error) {
	fields, err := object(body)
	if err != nil {
		return "", err
	}
	var text string
	f := reader{fields: fields}
	f.text(name, &text)
	if f.err == nil && text == "" {
		f.bad("%s is missing", name)
	}
	return text, f.failed()
}

// object is the fields of a body.
func object(body []byte) (fields map[string]json.RawMessage, err error) {
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' {
		return nil, refuse(CodeInvalidInput, "the body is no JSON object")
	}
	if err := strictjson.Decode(body, &fields); err != nil {
		return nil, refuse(CodeInvalidInput, "the body: %v", err)
	}
	return fields, nil
}

// reader reads fields until one is not as it has to be.
type reader struct {
	fields map[string]json.RawMessage
	err    *Error
}

func (f *reader) bad(format string, args ...any) {
	if f.err == nil {
		f.err = refuse(CodeInvalidInput, format, args...)
	}
}

// failed is the first thing that is wrong, or nil.
func (f *reader) failed() error {
	if f.err == nil {
		return nil
	}
	return f.err
}

// has says whether there is a field of the name. null is none.
func (f *reader) has(name string) bool {
	raw := bytes.TrimSpace(f.fields[name])
	return len(raw) > 0 && string(raw) != "null"
}

func (f *reader) text(name string, into *string) {
	if f.has(name) && strictjson.Decode(f.fields[name], into) != nil {
		f.bad("%s: want a text", name)
	}
}

func (f *reader) number(name string) (n float64, ok bool) {
	raw := bytes.TrimSpace(f.fields[name])
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(raw), 64)
	return n, err == nil
}

// retry reads the policy; what it does not say is the scheduler's own.
func (f *reader) retry(call *Call) {
	if !f.has("retry") {
		return
	}
	var said struct {
		MaxAttempts *int
		Backoff     *Backoff
		BaseMs      *float64
		MaxMs       *float64
	}
	if json.Unmarshal(f.fields["retry"], &said) != nil {
		f.bad("retry: want an object of maxAttempts, backoff, baseMs and maxMs")
		return
	}
	policy := &Retry{MaxAttempts: 5, Backoff: Exponential, BaseMs: 30_000}
	if n := said.MaxAttempts; n != nil {
		policy.MaxAttempts = *n
	}
	if b := said.Backoff; b != nil {
		policy.Backoff = *b
	}
	for _, ms := range []struct{ said, into *float64 }{{said.BaseMs, &policy.BaseMs}, {said.MaxMs, &policy.MaxMs}} {
		if ms.said != nil {
			*ms.into = math.Ceil(*ms.said)
		}
	}
	const most = 1 << 53
	switch {
	case policy.MaxAttempts < 1:
		f.bad("retry.maxAttempts is %d, want 1 or more", policy.MaxAttempts)
	case policy.Backoff != Exponential && policy.Backoff != Linear:
		f.bad("retry.backoff is %.32q, want %s or %s", string(policy.Backoff), Exponential, Linear)
	case policy.BaseMs < 0 || policy.MaxMs < 0 || policy.BaseMs > most || policy.MaxMs > most:
		f.bad("retry: baseMs and maxMs are milliseconds, 0 or more")
	}
	call.Retry = policy
}

func (f *reader) concurrency(call *Call) {
	if call.Pool == "" || !f.has("maxConcurrency") {
		return
	}
	n, ok := f.number("maxConcurrency")
	if !ok || n != math.Trunc(n) || n < 1 || n > math.MaxInt32 {
		f.bad("maxConcurrency: want a whole number, 1 or more")
		return
	}
	call.MaxConcurrency = int(n)
}
