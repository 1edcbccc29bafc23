package actorstest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// crons runs the commands that are about cron triggers.
func (s *script) crons(words []string) (string, error) {
	crons, name := s.h.Scheduler(storage.AppID(arg(words, 1))).Crons(), arg(words, 2)
	switch words[0] {
	case "cron":
		if len(words) < 6 {
			return "", errors.New("want: cron APP NAME ZONE PATH SPEC")
		}
		return "", crons.Create(dispatch.Cron{Name: name, Zone: words[3], Call: dispatch.Path(words[4]).With(nil), Spec: strings.Join(words[5:], " ")})
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
	case "crons":
		infos, err := crons.List()
		var lines []string
		for _, info := range infos {
			line := info.Name + ": " + info.Description
			if info.Paused {
				line += ", paused: " + info.PauseReason
			}
			for _, at := range info.Upcoming {
				line += "\n  " + inZone(at, info.Zone)
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

// inZone prints an instant as the clock on the wall there shows it.
func inZone(at time.Time, zone string) string {
	if loc, err := time.LoadLocation(zone); err == nil {
		at = at.In(loc)
	}
	return at.Format("Mon 2006-01-02 15:04:05 -07:00")
}
