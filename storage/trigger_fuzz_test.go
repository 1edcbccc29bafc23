package storage

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	gproto "google.golang.org/protobuf/proto"

	"carillon/proto"
)

// FuzzTriggerRecord: whatever the bytes, reading them as a trigger is an error or
// a trigger, and a trigger that was read is written down so that the same is read again.
func FuzzTriggerRecord(f *testing.F) {
	at := time.UnixMilli(1_800_000_000_000).UTC()
	f.Add([]byte(nil))
	f.Add([]byte{8, 1})
	f.Add([]byte{8, 2})
	f.Add(encodeTrigger(&Trigger{Name: "x", Spec: "* * * * *", Function: "f:n", Args: []byte("{}")}))
	f.Add(encodeTrigger(&Trigger{
		Name: "x", Spec: "@every 90s", Zone: "Europe/Rome", Function: "f:n", Args: []byte(`{"a":1}`), Overlap: OverlapReplace,
		CatchUp: CatchUp{CatchUpAll, 1000, time.Hour}, Jitter: time.Minute, Retry: &Retry{Limit: 3, Linear: true, Base: time.Second},
		Declared: true, Paused: true, PauseReason: "holidays", CreatedAt: at, Anchor: at, Next: at, NextJob: TickID("x", at), Decided: at,
		LastSlot: at, LastJob: "j", LastState: StateFailed, LastEndedAt: at, LastError: &JobError{Code: "c", Message: "m"}, LastSuccess: at,
		Backfill: &Backfill{
			Number: 4, From: at, To: at, Again: true, Reason: "why", AskedAt: at, Slots: 8, Begun: 7, Next: at, Job: "j", Held: "h",
			Outcome: BackfillDone, EndedAt: at,
		},
	}))
	// Spans that overflow when they are no longer counted in milliseconds, and counts
	// that would take for ever.
	for _, wild := range []*proto.Trigger{
		{JitterMs: math.MaxInt64},
		{CatchUpWindowMs: math.MinInt64},
		{CatchUpLimit: math.MaxUint32},
		{NextMs: math.MinInt64, AnchorMs: math.MaxInt64, LastState: 99, LastEndedAtMs: 1, Overlap: "none such"},
		{Retry: &proto.Retry{Limit: math.MaxUint32, BaseMs: math.MaxInt64, MaxMs: -1}},
	} {
		wild.Version = recordVersion
		data, err := gproto.Marshal(wild)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		trigger, err := decodeTrigger("x", data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
				t.Errorf("%v is neither ErrCorrupt nor ErrFormat", err)
			}
			return
		}
		if n := trigger.CatchUp.Limit; n > MaxCatchUp {
			t.Errorf("%d slots are to be caught up", n)
		}
		for what, span := range map[string]time.Duration{"jitter": trigger.Jitter, "window": trigger.CatchUp.Window} {
			if span < 0 {
				t.Errorf("%s is %v", what, span)
			}
		}
		again, err := decodeTrigger("x", encodeTrigger(&trigger))
		if err != nil || !reflect.DeepEqual(again, trigger) {
			t.Errorf("%+v\nis written down as\n%+v, %v", trigger, again, err)
		}
	})
}
