package ui

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"carillon/server/api"
)

// TestCommandsAreWhatAShellReads: a POSIX shell reads the commands of a page as what they were made of, whatever a job's
// names, tags and arguments are; none has a character in it that a terminal acts on.
func TestCommandsAreWhatAShellReads(t *testing.T) {
	hostile := []string{
		"plain", "two words", "'; echo x; '", `"$(id)"`, "`id`", `\`, `\'`, `'\''`, "$HOME", "--server=evil", "-", "!!", "~", "*", "#", "&|<>(){}[]", "ü€😀", "''", "%0a",
	}
	worse := []string{"a\nb", "a\rb", "a\x00b", "\x1b[201~id\n", "\x03id", "a\tb", "a\u007fb", "a\u009bb", "a\u202eb", "a\u2028b", "a\u00a0b", "a\U000e0041b", "\u200b"}
	var script strings.Builder
	script.WriteString("curl() { printf '%s\\0' curl \"$@\"; printf '\\1'; }\ncarillon() { printf '%s\\0' carillon \"$@\"; printf '\\1'; }\n" + tokenVariable + "=secret\n")
	var want [][]string
	const auth = "Authorization: Bearer secret"
	for _, text := range append(slices.Clone(hostile), worse...) {
		args, err := json.Marshal(map[string]string{"key": text})
		if err != nil {
			t.Fatal(err)
		}
		raw := json.RawMessage("{\n\t\"key\": " + strings.ReplaceAll(string(args[7:len(args)-1]), `\u001b`, `\u001B`) + "}")
		job := &api.Job{ID: text, Function: text, Args: raw, Tags: []string{text, "b"}, Pool: text, PoolKey: text, Priority: 3}
		c := commandsOf("http://[::1]:8377/x", text, job)
		for _, command := range []string{c.CurlShow, c.Show, c.CurlAgain, c.Again} {
			if strings.ContainsFunc(command, func(r rune) bool { return !plain(r) }) {
				t.Errorf("of %q there is %q", text, command)
			}
			script.WriteString(command + "\n")
		}
		jobs := "http://[::1]:8377/x/v1/apps/" + escaped(text) + "/jobs"
		want = append(want, []string{"curl", "-sS", "-H", auth, jobs + "/" + escaped(text)})
		body := []string{"curl", "-sS", "-H", auth, "-H", "Content-Type: application/json", "-d", "", jobs}
		if slices.Contains(worse, text) {
			if c.Show != "" || c.Again != "" {
				t.Errorf("of %q there is %q and %q", text, c.Show, c.Again)
			}
			want = append(want, body)
			continue
		}
		at := []string{"--app=" + text, "--server=http://[::1]:8377/x"}
		want = append(want, append([]string{"carillon", "jobs", "get"}, append(slices.Clone(at), "--name="+text)...), body,
			append([]string{"carillon", "jobs", "schedule"}, append(at, "--function="+text, "--args=", "--priority=3", "--tag="+text, "--tag=b", "--pool="+text, "--pool-key="+text)...))
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script.String()).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, script.String())
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\x01"), "\x01")
	if len(lines) != len(want) {
		t.Fatalf("%d commands were run, want %d", len(lines), len(want))
	}
	for i, got := range lines {
		words := strings.Split(strings.TrimSuffix(got, "\x00"), "\x00")
		text := ""
		for j, word := range words { // arguments are compared as what they say
			var call struct {
				Function, Pool, PoolKey string
				Tags                    []string
				Args                    map[string]string
				Key                     *string
			}
			args, isArgs := strings.CutPrefix(word, "--args=")
			if !isArgs && (j == 0 || words[j-1] != "-d") {
				continue
			}
			if err := json.Unmarshal([]byte(args), &call); err != nil {
				t.Errorf("%q: %v", word, err)
			}
			if isArgs {
				words[j], text = "--args=", *call.Key
				continue
			}
			words[j], text = "", call.Function
			if call.Args["key"] != text || call.Pool != text || call.PoolKey != text || !slices.Equal(call.Tags, []string{text, "b"}) {
				t.Errorf("%q is another call", word)
			}
		}
		if !slices.Equal(words, want[i]) {
			t.Errorf("%q is run, want %q, of %q", words, want[i], text)
		}
	}
	// What the job has of its own it has once more, or there is no command.
	of := func(d api.JobDetail) commands {
		return commandsOf("http://h", "acme", &api.Job{ID: "x", Function: "f:g", Args: json.RawMessage("{}"), Priority: 2, JobDetail: &d})
	}
	service, claims := &api.Identity{Subject: "service:s"}, map[string]any{"role": "r"}
	c := of(api.JobDetail{As: service, TimeoutMs: 1500, AtMostOnce: true})
	if !strings.HasSuffix(c.Again, ` '--as=service:s' '--timeout=1.5s' '--at-most-once'`) ||
		!strings.Contains(c.CurlAgain, `{"args":{},"as":{"subject":"service:s"},"atMostOnce":true,"function":"f:g","priority":2,"timeoutMs":1500}`) {
		t.Errorf("once more is %+v", c)
	}
	for name, d := range map[string]api.JobDetail{
		`"claims":{"role":"r"}`:                                   {As: &api.Identity{Subject: "service:s", Claims: claims}},
		`"retry":{"maxAttempts":3,"backoff":"fixed","baseMs":10}`: {Retry: &api.Retry{MaxAttempts: 3, Backoff: "fixed", BaseMs: 10}},
	} {
		if c := of(d); c.Again != "" || !strings.Contains(c.CurlAgain, name) {
			t.Errorf("of a job with %s once more is %+v", name, c)
		}
	}
	if c := of(api.JobDetail{As: &api.Identity{Subject: "ann"}}); c.Again != "" || c.CurlAgain != "" || c.Show == "" {
		t.Errorf("of the job of a person there is %+v", c)
	}
	if c := commandsOf("http://h", "acme", &api.Job{ID: "x", Function: "f:g"}); c.Again != "" || c.CurlAgain != "" || c.Show == "" {
		t.Errorf("of a job whose arguments are hidden there is %+v", c)
	}
}
