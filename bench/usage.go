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
	u := workload.Usage{Flushes: -1}
	for _, p := range s.processes() {
		u.RSS += field("/proc/"+p+"/smaps_rollup", "Pss:") << 10 // its part of what is shared
	}
	return u
}

// processes are the server and its children.
func (s server) processes() []string {
	if s.PID == 0 {
		return nil
	}
	pid := strconv.Itoa(s.PID)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%s/task/%[1]s/children", pid))
	return append(strings.Fields(string(children)), pid)
}

// written is how many bytes of pages the server has changed; what it has written
// counts its answers, too.
func (s server) written() (n int64, ok bool) {
	for _, p := range s.processes() {
		n += field("/proc/"+p+"/io", "write_bytes:")
	}
	return n, n > 0
}

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
