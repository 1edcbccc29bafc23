package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"carillon/cmd/carillon/workload"
)

// usage is what a server, its children, and this process have used.
func (s server) usage() workload.Usage {
	u := workload.Usage{Flushes: -1, BytesWritten: written("self")}
	if s.PID == 0 {
		return u
	}
	pid := strconv.Itoa(s.PID)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%s/task/%[1]s/children", pid))
	for _, p := range append(strings.Fields(string(children)), pid) {
		u.BytesWritten += written(p)
		u.RSS += field("/proc/"+p+"/smaps_rollup", "Pss:") << 10 // its part of what is shared
	}
	return u
}

// written is how many bytes a process has had written to the disk, its children
// that have ended included.
func written(pid string) int64 { return field("/proc/"+pid+"/io", "write_bytes:") }

// field is the number behind a name in a file of /proc; 0 if there is none, or
// if the process has ended.
func field(path, name string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		if words := bytes.Fields(line); len(words) > 1 && string(words[0]) == name {
			n, _ := strconv.ParseInt(string(words[1]), 10, 64)
			return n
		}
	}
	return 0
}
