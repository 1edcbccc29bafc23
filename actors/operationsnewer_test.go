package actors_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/proto"
	"carillon/storage"
)

// withRecords is an exported app whose records have other bytes, as many, in the place of these, which
// are in it once.
func withRecords(t *testing.T, stream []byte, old, by string) []byte {
	t.Helper()
	if len(old) != len(by) || bytes.Count(stream, []byte(old)) != 1 {
		t.Fatalf("the app has %q %d times", old, bytes.Count(stream, []byte(old)))
	}
	stream = bytes.Replace(stream, []byte(old), []byte(by), 1)
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for at := bytes.IndexByte(stream, '\n') + 1; ; {
		n, width := binary.Uvarint(stream[at+1:])
		body := stream[at+1+width:][:n]
		if stream[at] != 'T' {
			sum.Write(body)
			at += 1 + width + len(body)
			continue
		}
		var end proto.ExportTrailer
		if err := end.UnmarshalVT(body); err != nil {
			t.Fatal(err)
		}
		end.Crc32C = sum.Sum32()
		sealed := must[[]byte](t)(end.MarshalVT())
		return append(binary.AppendUvarint(stream[:at+1:at+1], uint64(len(sealed))), sealed...)
	}
}

// TestOperationOfANewerReleaseFails: an operation that goes on, and has a condition or an action that
// this release does not know, changes no job, and says why. What is asked for behind it is done.
func TestOperationOfANewerReleaseFails(t *testing.T) {
	k := newKit()
	var ran atomic.Int32
	fails := k.mutation("t:fails", func(*dispatch.MutationCtx, string) error {
		ran.Add(1)
		return dispatch.Errorf(dispatch.CodeInternal, "as ever")
	})
	slow := func(point string) error {
		if point == "commit" {
			time.Sleep(4 * time.Millisecond)
		}
		return nil
	}
	for _, tt := range []struct {
		name, app string
		ask       actors.Operation
		old, by   string // in its record
		reason    string
	}{
		{"condition", "acme", actors.Operation{Action: storage.OperationCancel, Filter: storage.JobFilter{Tags: []string{"a"}}}, `"tags":["a"]}`, `"togs":["a"]}`, `unknown field "togs"`},
		{"condition of a drop", "acme", actors.Operation{Action: storage.OperationDrop, Filter: storage.JobFilter{Pool: "p"}}, `"pool":"p"}`, `"pail":"p"}`, `unknown field "pail"`},
		{"part of a condition", "acme", actors.Operation{Action: storage.OperationCancel, Filter: storage.JobFilter{Due: storage.TimeRange{From: time.UnixMilli(1)}}}, `"due":{"from"`, `"due":{"frum"`, `unknown field "frum"`},
		{"action", "acme", actors.Operation{Action: storage.OperationDrop}, "\x12\x04drop", "\x12\x04burn", `action "burn"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := actors.Options{Functions: k.reg, Logger: quiet, Testing: actors.Testing{Fault: slow}}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				mustSchedule(t, h, 3, "a")
				mustSchedule(t, h, 2, "b")
				mustAfter(t, h, "acme", 0, fails.With("x"), dispatch.NoRetry())
				h.Advance(time.Second)
				mustSchedule(t, h, 400, "before")
				must[storage.Operation](t)(h.Scheduler("acme").Operate(actors.Operation{Action: storage.OperationCancel, Filter: storage.JobFilter{Tags: []string{"before"}}}))
				made := must[storage.Operation](t)(h.App("acme").Scheduler(asAnn(h)).Operate(tt.ask))
				var stream bytes.Buffer
				if err := h.Engine.Export(h.Context(), "acme", &stream); err != nil {
					t.Fatal(err)
				}
				changed := withRecords(t, stream.Bytes(), tt.old, tt.by)
				if err := h.Engine.Import(h.Context(), "copy", bytes.NewReader(changed)); err != nil {
					t.Fatal(err)
				}
				next := must[storage.Operation](t)(h.Scheduler("copy").Operate(actors.Operation{Action: storage.OperationReschedule, Priority: 2, Filter: storage.JobFilter{Tags: []string{"b"}}}))
				h.Advance(time.Second)
				o, ok, err := h.Scheduler("copy").Operation(made.ID)
				if err != nil || !ok || o.Outcome != storage.OperationFailed || o.Done != 0 || o.Error == nil || !strings.Contains(o.Error.Message, tt.reason) || !strings.Contains(o.Error.Message, "newer") {
					t.Errorf("it is %+v, %v, %v", o, o.Error, err)
				}
				if o.By != "ann" || o.EndedAt.IsZero() {
					t.Errorf("it was asked for by %q, and has ended at %v", o.By, o.EndedAt)
				}
				if pending, dead := len(h.Jobs("copy", storage.StatePending)), len(h.Jobs("copy", storage.StateFailed)); pending != 5 || dead != 1 {
					t.Errorf("%d jobs are pending and %d dead, want 5 and 1", pending, dead)
				}
				if n := ran.Swap(0); n != 1 {
					t.Errorf("the dead job has run %d times", n)
				}
				if o, _, err := h.Scheduler("copy").Operation(next.ID); err != nil || o.Outcome != storage.OperationDone || o.Done != 2 {
					t.Errorf("the next one: %+v, %v", o, err)
				}
			})
		})
	}
}
