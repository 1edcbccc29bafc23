package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"carillon/server/api"
)

// tokenVariable is where the commands that a page shows have the token from: no page has one in it.
const tokenVariable = "CARILLON_ADMIN_TOKEN"

// commands are lines for a POSIX shell that do, outside the dashboard, what is said of them. One of a job
// whose names have what a terminal would act on is "".
type commands struct {
	CurlShow, Show   string // they show the job
	CurlAgain, Again string // they schedule such a job, without its follow-ups; "" if its arguments are hidden, or no operator may
}

// commandsOf are those about the job of the app, for the server at the address.
func commandsOf(address, app string, job *api.Job) (c commands) {
	jobs := address + "/v1/apps/" + escaped(app) + "/jobs"
	auth := `-H "Authorization: Bearer $` + tokenVariable + `"`
	at := []string{"--app=" + app, "--server=" + address}
	c.CurlShow = line("curl -sS "+auth, jobs+"/"+escaped(job.ID))
	c.Show = line("carillon jobs get", append(at, "--name="+job.ID)...)
	args, ok := plainJSON(job.Args)
	if !ok {
		return c
	}
	call := map[string]any{"function": job.Function, "args": json.RawMessage(args), "priority": job.Priority}
	again := append(at, "--function="+job.Function, "--args="+args, fmt.Sprintf("--priority=%d", job.Priority))
	if len(job.Tags) > 0 {
		call["tags"] = job.Tags
	}
	for _, tag := range job.Tags {
		again = append(again, "--tag="+tag)
	}
	if job.Pool != "" {
		call["pool"], again = job.Pool, append(again, "--pool="+job.Pool)
	}
	if job.PoolKey != "" {
		call["poolKey"], again = job.PoolKey, append(again, "--pool-key="+job.PoolKey)
	}
	flagged := true // the command has flags for all of it
	if d := job.JobDetail; d != nil {
		if d.As != nil {
			if !strings.HasPrefix(d.As.Subject, "service:") {
				return c // no operator may schedule for them
			}
			call["as"], again = d.As, append(again, "--as="+d.As.Subject)
			flagged = len(d.As.Claims) == 0
		}
		if d.TimeoutMs > 0 {
			call["timeoutMs"], again = d.TimeoutMs, append(again, "--timeout="+(time.Duration(d.TimeoutMs)*time.Millisecond).String())
		}
		switch {
		case d.AtMostOnce: // which says of its retries that it has none
			call["atMostOnce"], again = true, append(again, "--at-most-once")
		case d.Retry != nil:
			call["retry"], flagged = d.Retry, false
		}
	}
	if flagged {
		c.Again = line("carillon jobs schedule", again...)
	}
	if text, err := json.Marshal(call); err == nil {
		if body, ok := plainJSON(text); ok {
			c.CurlAgain = line("curl -sS "+auth+" -H 'Content-Type: application/json'", "-d", body, jobs)
		}
	}
	return c
}

// plainJSON is the JSON on one line, with what a terminal or a reader may take for something else written as \u….
// false says that it is none.
func plainJSON(text []byte) (string, bool) {
	var compact bytes.Buffer
	if len(text) == 0 || json.Compact(&compact, text) != nil {
		return "", false
	}
	var b strings.Builder
	for _, r := range compact.String() { // beside strings it is ASCII
		switch {
		case !plain(r) && r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case !plain(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), true
}

// plain says whether the character stands for itself where a person reads it and a terminal is given it: one that
// controls either can end the quotes that it stands in, or a paste.
func plain(r rune) bool {
	return r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != utf8.RuneError
}

// line is the command with its arguments quoted for a POSIX shell; "" if one of them is not plain.
func line(command string, args ...string) string {
	for _, arg := range args {
		for _, r := range arg {
			if !plain(r) {
				return ""
			}
		}
		command += " '" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return command
}
