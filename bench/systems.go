package main

import (
	"fmt"
	"slices"
	"strings"

	"carillon/cmd/carillon/workload"
)

// contestant is a system and what it needs.
type contestant struct {
	name    string
	durable bool // every call is durable before it returns
	needs   string
	open    func(at server) workload.System
}

// contestants are all systems; Carillon is the first.
func contestants() []contestant {
	return []contestant{
		{"carillon", true, "", func(server) workload.System { return workload.Carillon() }},
		{"river", true, "postgres", riverSystem},
		{"asynq", true, "redis", func(at server) workload.System { return asynqOn("asynq", at) }},
		{"asynq-everysec", false, "redis-everysec", func(at server) workload.System { return asynqOn("asynq-everysec", at) }},
		{"goqite", true, "", func(server) workload.System { return goqiteSystem() }},
		{"backlite", true, "", func(server) workload.System { return backliteSystem() }},
		{"gocron", false, "", func(server) workload.System { return gocronSystem() }},
	}
}

func contestantOf(name string) (contestant, bool) {
	all := contestants()
	i := slices.IndexFunc(all, func(c contestant) bool { return c.name == name })
	if i < 0 {
		return contestant{}, false
	}
	return all[i], true
}

// selectSystems returns Carillon and the peers named; "" is all of them.
func selectSystems(peers string) ([]contestant, error) {
	all := contestants()
	switch peers {
	case "":
		return all, nil
	case "none":
		return all[:1], nil
	}
	list := all[:1:1]
	for name := range strings.SplitSeq(peers, ",") {
		c, ok := contestantOf(strings.TrimSpace(name))
		if !ok {
			var names []string
			for _, c := range all[1:] {
				names = append(names, c.name)
			}
			return nil, fmt.Errorf("there is no peer %q, but %s", name, strings.Join(names, ", "))
		}
		if !slices.ContainsFunc(list, func(have contestant) bool { return have.name == c.name }) {
			list = append(list, c)
		}
	}
	return list, nil
}
