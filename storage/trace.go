package storage

import (
	"encoding/hex"
	"strings"
)

// MaxTraceState bounds the tracestate that is kept of a trace, in bytes. Members at its end are left
// out that would make it longer.
const MaxTraceState = 512

// Trace names a span of a trace, as the W3C's Trace Context does. No field is zero but State and
// Sampled.
type Trace struct {
	ID      [16]byte // of the trace
	Span    [8]byte  // of the span
	Sampled bool     // the trace is recorded
	State   string   // what the vendors of tracing systems hand on: the header tracestate
}

// Traceparent is the header of that name; "" of nil.
func (t *Trace) Traceparent() string {
	if t == nil {
		return ""
	}
	b := make([]byte, 0, 55)
	b = append(hex.AppendEncode(append(b, "00-"...), t.ID[:]), '-')
	b = hex.AppendEncode(b, t.Span[:])
	if t.Sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// ParseTrace reads the headers traceparent and tracestate, of which several are joined by commas.
// It is nil if the first is not as the W3C demands it, and has no State if the second is not. Of a
// version to come it reads what is in this one.
func ParseTrace(traceparent, tracestate string) *Trace {
	s := traceparent
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' || len(s) > 55 && (s[:2] == "00" || s[55] != '-') || s[:2] == "ff" {
		return nil
	}
	var version, flags [1]byte
	t := new(Trace)
	for _, f := range []struct {
		into []byte
		text string
	}{{version[:], s[:2]}, {t.ID[:], s[3:35]}, {t.Span[:], s[36:52]}, {flags[:], s[53:55]}} {
		if _, err := hex.Decode(f.into, []byte(f.text)); err != nil || strings.ToLower(f.text) != f.text {
			return nil
		}
	}
	if t.ID == [16]byte{} || t.Span == [8]byte{} {
		return nil
	}
	t.Sampled, t.State = flags[0]&1 != 0, traceState(tracestate)
	return t
}

// traceState is the list as it is kept; "" if it is malformed.
func traceState(text string) string {
	var members []string
	seen, size := map[string]bool{}, 0
	for member := range strings.SplitSeq(text, ",") {
		if member = strings.Trim(member, " \t"); member == "" {
			continue
		}
		key, value, ok := strings.Cut(member, "=")
		if !ok || !traceKey(key) || !traceValue(value) || seen[key] || len(seen) == 32 {
			return ""
		}
		seen[key] = true
		if size += len(member) + 1; size-1 <= MaxTraceState {
			members = append(members, member)
		}
	}
	return strings.Join(members, ",")
}

// traceKey says whether it is the key of a member: a name, or a tenant's at a system.
func traceKey(key string) bool {
	tenant, system, at := strings.Cut(key, "@")
	if !at {
		return traceName(key, 256) && key[0] >= 'a'
	}
	return traceName(tenant, 241) && traceName(system, 14) && system[0] >= 'a'
}

func traceName(name string, most int) bool {
	if len(name) < 1 || len(name) > most || strings.IndexByte("_-*/", name[0]) >= 0 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("_-*/", c) < 0 {
			return false
		}
	}
	return true
}

func traceValue(value string) bool {
	if len(value) < 1 || len(value) > 256 {
		return false
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' || c == '=' {
			return false
		}
	}
	return true
}

// encode is the span as a record has it.
func (t *Trace) encode() []byte {
	if t == nil {
		return nil
	}
	b := append(append(make([]byte, 0, 25), t.ID[:]...), t.Span[:]...)
	if t.Sampled {
		return append(b, 1)
	}
	return append(b, 0)
}

// decodeTrace reads it; nil if there is none.
func decodeTrace(data []byte, state string) *Trace {
	if len(data) != 25 {
		return nil
	}
	return &Trace{ID: [16]byte(data[:16]), Span: [8]byte(data[16:24]), Sampled: data[24]&1 != 0, State: state}
}
