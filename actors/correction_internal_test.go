package actors

import (
	"maps"
	"slices"
	"testing"
	"time"

	"carillon/cron"
	"carillon/storage"
)

// Which eras are false, and by how much, follows from the list alone.
func TestG15_WhatAStepProvesFalse(t *testing.T) {
	at := func(h float64) time.Time {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(h * float64(time.Hour)))
	}
	era := func(id storage.EraID, began, last, offset float64) storage.Era {
		e := storage.Era{ID: id, Began: at(began), Offset: time.Duration(offset * float64(time.Hour))}
		if last != 0 {
			e.Last = at(last)
		}
		return e
	}
	for _, tt := range []struct {
		name  string
		eras  []storage.Era
		since storage.EraID
		shift map[storage.EraID]time.Duration
		ahead []storage.EraID
	}{
		{"a step forward proves nothing", []storage.Era{era(1, 0, 10, 0), era(2, 20, 0, 10)}, 0, nil, nil},
		{
			"a step forward taken back",
			[]storage.Era{era(1, 0, 10, 0), era(2, 20, 21, 10), era(3, 11, 0, 0)},
			0,
			map[storage.EraID]time.Duration{2: -10 * time.Hour},
			[]storage.EraID{2},
		},
		{
			"a step back",
			[]storage.Era{era(1, 0, 10, 0), era(2, 9, 0, -1)},
			0,
			map[storage.EraID]time.Duration{1: -time.Hour},
			[]storage.EraID{1},
		},
		{
			"a step back taken back",
			[]storage.Era{era(1, 0, 10, 0), era(2, 9, 9.5, -1), era(3, 10.5, 0, 0)},
			0,
			map[storage.EraID]time.Duration{2: time.Hour},
			nil,
		},
		{
			"a step back taken back and beyond",
			[]storage.Era{era(1, 0, 10, 0), era(2, 9, 9.5, -1), era(3, 15, 0, 4.5)},
			0,
			map[storage.EraID]time.Duration{2: time.Hour},
			nil,
		},
		{"before the first era nothing is relative", []storage.Era{era(0, 0, 10, 0), era(2, 9, 0, -1)}, 0, nil, []storage.EraID{0}},
		{"less than five minutes ahead", []storage.Era{era(1, 0, 10, 0), era(2, 9.95, 0, 0)}, 0, nil, nil},
		{
			"a step forward taken back, and a restart hours later",
			[]storage.Era{era(1, 0, 10, 0), era(2, 20, 21, 10), era(3, 11, 12, 0), era(4, 40, 0, 0)},
			0,
			map[storage.EraID]time.Duration{2: -10 * time.Hour},
			[]storage.EraID{2},
		},
		{
			"what the app was put right for",
			[]storage.Era{era(1, 0, 10, 0), era(2, 20, 21, 10), era(3, 11, 0, 0)},
			3, nil, nil,
		},
		{
			"the step after that",
			[]storage.Era{era(1, 0, 10, 0), era(2, 9, 12, -1), era(3, 11, 0, -2)},
			2,
			map[storage.EraID]time.Duration{2: -time.Hour},
			[]storage.EraID{2},
		},
		{
			"what was downtime turns out to be a step",
			[]storage.Era{era(1, 0, 10, 0), era(2, 20, 21, 0), era(3, 11, 0, -10)},
			0,
			map[storage.EraID]time.Duration{2: -10 * time.Hour},
			[]storage.EraID{2},
		},
		{
			"a step forward taken back and made again",
			[]storage.Era{era(1, 0, 10, 0), era(2, 20, 21, 10), era(3, 11, 12, 0), era(4, 22, 0, 10)},
			0,
			map[storage.EraID]time.Duration{3: 10 * time.Hour},
			nil,
		},
	} {
		for i := range tt.eras[1:] {
			tt.eras[i+1].Step = tt.eras[i+1].Offset - tt.eras[i].Offset
		}
		f := fixesOf(tt.eras, tt.since)
		if got := slices.Sorted(maps.Keys(f.ahead)); !maps.Equal(f.shift, tt.shift) || !slices.Equal(got, tt.ahead) {
			t.Errorf("%s: shifts %v, ahead %v", tt.name, f.shift, got)
		}
		if f.none() != (len(tt.shift) == 0 && len(tt.ahead) == 0) {
			t.Errorf("%s: none is %t", tt.name, f.none())
		}
	}
}

// Slots that follow each other are one span; at the 65th span the two that are nearest
// to each other become one, and no slot is forgotten.
func TestG19_SpentSlotsAreRememberedInSpans(t *testing.T) {
	schedule, err := cron.Expr("* * * * *").Compile("")
	if err != nil {
		t.Fatal(err)
	}
	at := func(min int) time.Time {
		return time.Date(2026, 1, 1, 0, min, 0, 0, time.UTC)
	}
	var spans []storage.SlotSpan
	var spent []time.Time
	add := func(min int) {
		spans, spent = spend(spans, at(min), schedule.Next), append(spent, at(min))
		for _, slot := range spent {
			if spanOf(spans, slot) < 0 {
				t.Fatalf("%v is forgotten in %v", slot, spans)
			}
		}
	}
	add(0)
	add(1)
	add(2)
	if len(spans) != 1 || spans[0].Merged || !spans[0].From.Equal(at(0)) || !spans[0].To.Equal(at(2)) {
		t.Fatalf("three slots in a row are %v", spans)
	}
	for i := 1; i < maxSpans; i++ {
		add(10*i + i)
	}
	if len(spans) != maxSpans || slices.ContainsFunc(spans, func(s storage.SlotSpan) bool { return s.Merged }) {
		t.Fatalf("%d spans: %v", len(spans), spans)
	}
	add(100_000)
	if len(spans) != maxSpans || !spans[0].Merged || !spans[0].To.Equal(at(11)) {
		t.Errorf("one more: %d spans, the first %v", len(spans), spans[0])
	}
	if spanOf(spans, at(50_000)) >= 0 {
		t.Errorf("a slot that has not come is spent: %v", spans)
	}
	if got := unspend(spans, at(100_000), schedule); spanOf(got, at(100_000)) >= 0 || len(got) != maxSpans-1 {
		t.Errorf("a slot that never came is spent")
	}
	row := unspend([]storage.SlotSpan{{From: at(0), To: at(9)}}, at(9), schedule)
	if !row[0].To.Equal(at(8)) {
		t.Errorf("without its last slot a span is %v", row)
	}
	row = unspend(row, at(4), schedule)
	if len(row) != 2 || !row[0].To.Equal(at(3)) || !row[1].From.Equal(at(5)) || !row[1].To.Equal(at(8)) {
		t.Errorf("without a slot in the middle a span is %v", row)
	}
}
