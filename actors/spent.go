package actors

import (
	"slices"
	"time"

	"carillon/actors/internal/ticks"
	"carillon/cron"
	"carillon/storage"
)

// This file is which slots of a trigger come no more though the wall is set back
// before them: those that have fired, or were canceled (storage.Trigger.Spent).

// maxSpans bounds how many spans of slots a trigger remembers. The two that are
// nearest to each other become one then, so that a slot between them that has not
// fired is skipped, and none fires twice.
const maxSpans = 64

// maxMarks bounds how many clock eras a trigger remembers what went before.
const maxMarks = 16

// spanOf is the place of the span that the slot lies in, or -1.
func spanOf(spans []storage.SlotSpan, slot time.Time) int {
	for i := len(spans) - 1; i >= 0; i-- {
		if !slot.Before(spans[i].From) {
			if slot.After(spans[i].To) {
				return -1
			}
			return i
		}
	}
	return -1
}

// spend returns the spans with one more slot, in their place. next is the slot after
// another one, which tells whether a span ends right before it; nil if that is not known.
func spend(spans []storage.SlotSpan, slot time.Time, next func(time.Time) time.Time) []storage.SlotSpan {
	if spanOf(spans, slot) >= 0 {
		return spans
	}
	i := 0
	for i < len(spans) && spans[i].From.Before(slot) {
		i++
	}
	if i > 0 && !spans[i-1].Merged && next != nil && next(spans[i-1].To).Equal(slot) {
		spans[i-1].To = slot.UTC()
		return spans
	}
	return bounded(slices.Insert(spans, i, storage.SlotSpan{From: slot.UTC(), To: slot.UTC()}))
}

// bounded makes the two spans that are nearest to each other one while there are too many.
func bounded(spans []storage.SlotSpan) []storage.SlotSpan {
	for len(spans) > maxSpans {
		least := 1
		for i := 2; i < len(spans); i++ {
			if spans[i].From.Sub(spans[i-1].To) < spans[least].From.Sub(spans[least-1].To) {
				least = i
			}
		}
		spans[least-1].To, spans[least-1].Merged = spans[least].To, true
		spans = slices.Delete(spans, least, least+1)
	}
	return spans
}

// unspend returns the spans without a slot whose tick has never begun. A merged span
// stays as it is.
func unspend(spans []storage.SlotSpan, slot time.Time, schedule *cron.Schedule) []storage.SlotSpan {
	i := spanOf(spans, slot)
	if i < 0 || spans[i].Merged {
		return spans
	}
	var left []storage.SlotSpan
	s := spans[i]
	if before := schedule.Last(s.From.Add(-time.Millisecond), slot.Add(-time.Millisecond)); !before.IsZero() {
		left = append(left, storage.SlotSpan{From: s.From, To: before.UTC()})
	}
	if behind := schedule.Next(slot); !behind.IsZero() && !behind.After(s.To) {
		left = append(left, storage.SlotSpan{From: behind.UTC(), To: s.To})
	}
	return bounded(slices.Concat(spans[:i], left, spans[i+1:]))
}

// blur has the spans be of a trigger that has other slots now: which of those have
// fired is not known.
func blur(spans []storage.SlotSpan) {
	for i := range spans {
		spans[i].Merged = spans[i].Merged || !spans[i].From.Equal(spans[i].To)
	}
}

// mark remembers what the trigger was like when the first slot is decided in an era.
func mark(t *storage.Trigger, era storage.EraID) {
	if n := len(t.Marks); era == 0 || n > 0 && t.Marks[n-1].Era == era {
		return
	}
	t.Marks = append(t.Marks[max(0, len(t.Marks)-maxMarks+1):], storage.TriggerMark{
		Era: era, Decided: t.Decided, LastSuccess: t.LastSuccess, LastSuccessSeq: t.LastSuccessSeq,
	})
}

// skip writes down that the slots in [from, to] were skipped, but for those that have
// fired already.
func (p *planner) skip(w storage.JobWriter, t *storage.Trigger, from, to time.Time, reason string, now time.Time) error {
	schedule, err := p.schedule(t)
	if err != nil || schedule == nil {
		return p.decide(w, t, from, to, storage.SlotSkipped, reason, "", now)
	}
	for !from.IsZero() && !from.After(to) {
		last, why := to, reason
		i := slices.IndexFunc(t.Spent, func(s storage.SlotSpan) bool { return !s.To.Before(from) })
		if i >= 0 && !t.Spent[i].From.After(to) {
			s := t.Spent[i]
			if s.From.After(from) {
				last = schedule.Last(from.Add(-time.Millisecond), s.From.Add(-time.Millisecond))
			} else {
				last = schedule.Last(from.Add(-time.Millisecond), earlier(s.To, to))
				if why = ticks.MergedReason; !s.Merged {
					from = schedule.Next(last)
					continue
				}
			}
		}
		if last.IsZero() {
			break // its spec has no slot here any more
		}
		if err := p.decide(w, t, from, last, storage.SlotSkipped, why, "", now); err != nil {
			return err
		}
		if !last.Before(to) {
			break
		}
		from = schedule.Next(last)
	}
	if to.After(t.Decided) {
		mark(t, w.Era())
		t.Decided = to.UTC()
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
