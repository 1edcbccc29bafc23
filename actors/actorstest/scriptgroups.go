package actorstest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// groups runs the commands that are about groups of jobs.
func (s *script) groups(words []string, line string) (string, error) {
	scheduler := s.h.Scheduler(storage.AppID(words[1]))
	switch words[0] {
	case "groups":
		all, err := scheduler.Groups(storage.GroupFilter{})
		var out strings.Builder
		for i := range all {
			out.WriteString(s.groupLine(&all[i]) + "\n")
		}
		return strings.TrimSuffix(out.String(), "\n"), err
	case "group":
		parts := strings.SplitN(line, " ", 4)
		call := dispatch.Path(arg(words, 2)).With(nil)
		if len(parts) == 4 {
			call = dispatch.Path(parts[2]).With(json.RawMessage(parts[3]))
		}
		id, err := scheduler.NewGroup(call)
		if err != nil {
			return "", err
		}
		return fmt.Sprint("group ", id), nil
	}
	id, err := groupID(arg(words, 2))
	if err != nil {
		return "", err
	}
	if words[0] == "seal" {
		return "", scheduler.Seal(id)
	}
	n, err := scheduler.CancelGroup(id)
	s.h.Settle()
	return fmt.Sprintf("%d canceled", n), err
}

// groupLine shows a group.
func (s *script) groupLine(g *storage.Group) string {
	line := fmt.Sprintf("group %d", g.ID)
	switch {
	case g.Ended():
		line += " ended " + s.since(g.EndedAt)
	case g.Sealed:
		line += " sealed"
	default:
		line += " open"
	}
	e := g.Ends
	line += fmt.Sprintf(" pending %d success %d failed %d canceled %d expired %d", g.Pending, e.Success, e.Failed, e.Canceled, e.Expired)
	if g.FollowUp != "" {
		line += " then " + string(g.FollowUp)
	}
	return line
}

func groupID(text string) (storage.GroupID, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	return storage.GroupID(n), err
}
