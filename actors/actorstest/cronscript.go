package actorstest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// crons runs the commands that are about cron triggers.
func (s *script) crons(words []string) (string, error) {
	crons, name := s.h.Scheduler(storage.AppID(arg(words, 1))).Crons(), arg(words, 2)
	switch words[0] {
	case "cron", "recron":
		def, err := cronOf(words)
		switch {
		case err != nil:
			return "", err
		case words[0] == "cron":
			return "", crons.Create(def)
		}
		return "", crons.Update(def)
	case "pause":
		return "", crons.Pause(name, strings.Join(words[min(3, len(words)):], " "))
	case "resume":
		return "", crons.Resume(name)
	case "delete":
		return "", crons.Delete(name)
	case "run-now":
		id, err := crons.RunNow(name)
		s.h.Settle()
		return string(id), err
	case "backfill":
		return s.backfill(crons, words)
	case "cancel-backfill":
		canceled, err := crons.CancelBackfill(name)
		return fmt.Sprintf("canceled %t", canceled), err
	case "crons":
		infos, err := crons.List()
		var lines []string
		for _, info := range infos {
			line := info.Name + ": " + info.Description
			if info.Paused {
				line += ", paused: " + info.PauseReason
			}
			for _, at := range info.Upcoming {
				line += "\n  " + inZone(at.Slot, info.Zone)
				if !at.At.Equal(at.Slot) {
					line += ", run at " + inZone(at.At, info.Zone)
				}
			}
			if b := info.Backfill; b != nil {
				line += fmt.Sprintf("\n  backfill of %s to %s: %d of %d slots begun", inZone(b.From, info.Zone), inZone(b.To, info.Zone), b.Begun, b.Slots)
				if !b.Active() {
					line += ", " + string(b.Outcome)
				}
			}
			lines = append(lines, line)
		}
		return strings.Join(lines, "\n"), err
	}
	info, _, err := crons.Get(name)
	if err != nil {
		return "", err
	}
	slots, err := crons.Slots(name, 1000)
	slices.Reverse(slots)
	var lines []string
	for _, slot := range slots {
		line := inZone(slot.From, info.Zone) + " "
		if !slot.To.Equal(slot.From) {
			line += fmt.Sprintf("to %s, %d slots, ", inZone(slot.To, info.Zone), slot.Count)
		}
		line += string(slot.Outcome)
		if slot.Reason != "" {
			line += ", " + slot.Reason
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), err
}

// backfill runs "backfill APP NAME ±D ±D [again] [REASON…]".
func (s *script) backfill(crons dispatch.Crons, words []string) (string, error) {
	from, err := time.ParseDuration(arg(words, 3))
	if err != nil {
		return "", err
	}
	to, err := time.ParseDuration(arg(words, 4))
	if err != nil {
		return "", err
	}
	of := dispatch.Backfill{From: s.begin.Add(from), To: s.begin.Add(to)}
	rest := words[5:]
	if len(rest) > 0 && rest[0] == "again" {
		of.Again, rest = true, rest[1:]
	}
	of.Reason = strings.Join(rest, " ")
	b, err := crons.Backfill(arg(words, 2), of)
	if err != nil {
		return "", err
	}
	s.h.Settle()
	return fmt.Sprintf("%d slots", b.Slots), nil
}

// cronOf reads "cron APP NAME ZONE [OPTION…] PATH SPEC…".
func cronOf(words []string) (dispatch.Trigger, error) {
	def := dispatch.Trigger{Name: arg(words, 2), Zone: arg(words, 3)}
	for i := 4; i < len(words)-1; i++ {
		option, value, _ := strings.Cut(words[i], "=")
		switch {
		case strings.Contains(words[i], ":"):
			def.Call, def.Schedule = dispatch.Path(words[i]).With(nil), cron.Expr(strings.Join(words[i+1:], " "))
			return def, nil
		case option == "overlap":
			def.Overlap = storage.Overlap(value)
		case option == "catch-up":
			def.CatchUp.Mode = storage.CatchUpMode(value)
		case option == "paused":
			def.Paused = true
		default:
			return def, fmt.Errorf("unknown option %q", words[i])
		}
	}
	return def, fmt.Errorf("want: %s APP NAME ZONE [OPTION…] PATH SPEC…", words[0])
}

// inZone prints an instant as the clock on the wall there shows it.
func inZone(at time.Time, zone string) string {
	if loc, err := time.LoadLocation(zone); err == nil {
		at = at.In(loc)
	}
	return at.Format("Mon 2006-01-02 15:04:05 -07:00")
}
