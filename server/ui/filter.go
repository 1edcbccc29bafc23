package ui

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/dispatch"
	"carillon/server/api"
)

// chooses are the parameters of a listing of jobs that choose some. The others say which page it is.
var chooses = []string{
	"id", "idContains", "state", "function", "trigger", "parent", "group", "error", "tag", "pool", "poolKey", "uniqueKey", "priority", "argsContains",
	"dueFrom", "dueBefore", "endedFrom", "endedBefore",
}

// utc is the instant in RFC 3339 if a field of a form has one, and else the text as it is.
func utc(text string) string {
	if at, err := instantIn("", text); err == nil {
		return at.UTC().Format(time.RFC3339Nano)
	}
	return text
}

// entered is the value of a browser's field for an instant in RFC 3339; "" if it is none.
func entered(text string) string {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return ""
	}
	return at.UTC().Format("2006-01-02T15:04:05.999")
}

// instantField is the instant of a field, or the zero time if nothing was entered.
func instantField(values url.Values, key string) (at time.Time, err error) {
	if text := values.Get(key); text != "" {
		at, err = instantIn(key, text)
	}
	return at, err
}

// numberField is the number of a field, or 0 if nothing was entered.
func numberField(values url.Values, key string) (n uint64, err error) {
	text := values.Get(key)
	if text == "" {
		return 0, nil
	}
	if n, err = strconv.ParseUint(text, 10, 63); err != nil {
		return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is %.32q, want a number", key, text)
	}
	return n, nil
}

// bodyFilter is the filter of a listing's parameters for the body of a row. A parameter of which it
// knows nothing is refused: without it the filter would choose more jobs than were shown.
func bodyFilter(values url.Values) (f api.JobFilter, err error) {
	for key, v := range values {
		if !slices.Contains(chooses, key) || len(v) > 1 && key != "state" && key != "tag" {
			return f, dispatch.Errorf(dispatch.CodeInvalidArgument, "%.64q is no parameter of a filter, or is there more than once", key)
		}
	}
	for _, s := range values["state"] {
		f.States = append(f.States, api.State(s))
	}
	f.Tags = values["tag"]
	for key, into := range map[string]*string{
		"id": &f.ID, "idContains": &f.IDContains, "function": &f.Function, "trigger": &f.Trigger, "parent": &f.Parent, "error": &f.Error,
		"pool": &f.Pool, "poolKey": &f.PoolKey, "uniqueKey": &f.UniqueKey, "argsContains": &f.ArgsContains,
	} {
		*into = values.Get(key)
	}
	for key, into := range map[string]*time.Time{
		"dueFrom": &f.Due.From, "dueBefore": &f.Due.Before, "endedFrom": &f.Ended.From, "endedBefore": &f.Ended.Before,
	} {
		if *into, err = instantField(values, key); err != nil {
			return f, err
		}
	}
	if f.Group, err = numberField(values, "group"); err != nil {
		return f, err
	}
	priority, err := numberField(values, "priority")
	f.Priority = int(priority)
	return f, err
}

// queryOf is what bodyFilter has made the filter of.
func queryOf(f *api.JobFilter) url.Values {
	values := url.Values{}
	add := func(key, value string) {
		if value != "" {
			values.Add(key, value)
		}
	}
	for _, s := range f.States {
		add("state", string(s))
	}
	for _, tag := range f.Tags {
		add("tag", tag)
	}
	for key, value := range map[string]string{
		"id": f.ID, "idContains": f.IDContains, "function": f.Function, "trigger": f.Trigger, "parent": f.Parent, "error": f.Error,
		"pool": f.Pool, "poolKey": f.PoolKey, "uniqueKey": f.UniqueKey, "argsContains": f.ArgsContains,
	} {
		add(key, value)
	}
	for key, at := range map[string]time.Time{
		"dueFrom": f.Due.From, "dueBefore": f.Due.Before, "endedFrom": f.Ended.From, "endedBefore": f.Ended.Before,
	} {
		if !at.IsZero() {
			add(key, at.UTC().Format(time.RFC3339Nano))
		}
	}
	if f.Group != 0 {
		add("group", strconv.FormatUint(f.Group, 10))
	}
	if f.Priority != 0 {
		add("priority", strconv.Itoa(f.Priority))
	}
	return values
}

// condition is one of a filter, in words.
type condition struct{ What, Is string }

// conditions says what the filter chooses.
func conditions(values url.Values) (said []condition) {
	words := map[string]string{
		"id": "id", "idContains": "id contains", "poolKey": "key in the pool begins with", "uniqueKey": "unique key", "argsContains": "arguments contain",
		"dueFrom": "due from", "dueBefore": "due before", "endedFrom": "ended from", "endedBefore": "ended before", "parent": "scheduled by",
	}
	for _, key := range chooses {
		if v := values[key]; len(v) > 0 {
			what := words[key]
			if what == "" {
				what = key
			}
			join := " and "
			if key == "state" {
				join = " or "
			}
			said = append(said, condition{what, strings.Join(v, join)})
		}
	}
	return said
}
