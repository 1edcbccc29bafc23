package actorstest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"carillon/dispatch"
	"carillon/storage"
)

// pauses runs "pause-work APP SCOPE WHO [REASON…]", "resume-work APP SCOPE", "pauses APP" and
// "limit-pool APP POOL N", where an N of 0 is that of the program.
func (s *script) pauses(words []string) (string, error) {
	scheduler := s.h.Scheduler(storage.AppID(arg(words, 1)))
	defer s.h.Settle()
	switch words[0] {
	case "pauses":
		list, err := scheduler.Pauses()
		var lines []string
		for _, p := range list {
			lines = append(lines, p.String()+", since "+s.since(p.Since))
		}
		return strings.Join(lines, "\n"), err
	case "limit-pool":
		n, err := strconv.Atoi(arg(words, 3))
		if err != nil {
			return "", err
		}
		if n == 0 {
			cleared, err := scheduler.ClearPoolLimit(arg(words, 2))
			return fmt.Sprintf("cleared %t", cleared), err
		}
		return "", scheduler.LimitPool(arg(words, 2), n)
	}
	of, err := scopeOf(arg(words, 2))
	if err != nil {
		return "", err
	}
	if words[0] == "resume-work" {
		resumed, err := scheduler.Resume(of)
		return fmt.Sprintf("resumed %t", resumed), err
	}
	return "", scheduler.Pause(of, arg(words, 3), strings.Join(words[min(4, len(words)):], " "))
}

// scopeOf reads app, function=PATH, pool=NAME or pool=NAME/KEY.
func scopeOf(word string) (storage.Scope, error) {
	kind, name, _ := strings.Cut(word, "=")
	switch kind {
	case "app":
		return dispatch.OfApp(), nil
	case "function":
		return dispatch.OfFunction(name), nil
	case "pool":
		name, key, _ := strings.Cut(name, "/")
		return dispatch.OfPool(name, key), nil
	}
	return storage.Scope{}, errors.New("want app, function=PATH or pool=NAME[/KEY]")
}
