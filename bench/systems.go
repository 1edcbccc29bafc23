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
	aside   bool // only where it is named, and no peer that Carillon is compared with
}

// contestants are all systems; Carillon is the first.
func contestants() []contestant {
	return []contestant{
		{"carillon", true, "", func(server) workload.System { return workload.Carillon() }, false},
		{"river", true, "postgres", riverSystem, false},
		{"asynq", true, "redis", func(at server) workload.System { return asynqOn("asynq", at) }, false},
		{"asynq-everysec", false, "redis-everysec", func(at server) workload.System { return asynqOn("asynq-everysec", at) }, false},
		{"goqite", true, "", func(server) workload.System { return goqiteSystem() }, false},
		{"backlite", true, "", func(server) workload.System { return backliteSystem() }, false},
		{"gocron", false, "", func(server) workload.System { return gocronSystem() }, false},
		{inPostgres, true, "postgres", carillonOn(64), true},
		{inPostgres + "-8", true, "postgres", fewShards, true},
		{"insert", true, "postgres", insertSystem, true},
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

// selectSystems returns Carillon and the peers named; "" is all of them but what stands aside.
func selectSystems(peers string) ([]contestant, error) {
	all := contestants()
	switch peers {
	case "":
		return slices.DeleteFunc(all, func(c contestant) bool { return c.aside }), nil
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
