package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// mustTerminal returns both ends of a terminal: what a person types, and what a program reads.
func mustTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine has no terminals: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	var locked, n int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &n} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Skipf("this machine has no terminals: %v", errno)
		}
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine has no terminals: %v", err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// TestWhatCannotBeUndoneAsks: on a terminal it does what is answered with yes, and nothing
// after anything else.
func TestWhatCannotBeUndoneAsks(t *testing.T) {
	dir := t.TempDir()
	mustSeed(t, dir, "acme")
	line := []string{"jobs", "cancel", "--function", "reminders:fire", "--app", "acme", "--data", dir}
	for _, tt := range []struct {
		answer string
		done   bool
	}{{"\n", false}, {"n\n", false}, {"yess\n", false}, {"YES\n", true}} {
		person, program := mustTerminal(t)
		if _, err := person.WriteString(tt.answer); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		err := run(t.Context(), line, program, &out, &errs)
		if asked := strings.HasPrefix(errs.String(), "cancel 1 job of acme? [y/N] "); !asked || (err == nil) != tt.done {
			t.Errorf("%q: %v, %s%s", tt.answer, err, &out, &errs)
		}
		if !tt.done && (!errors.Is(err, errDeclined) || ExitCode(err) != 1 || out.Len() > 0) {
			t.Errorf("%q: %v, code %d, %s", tt.answer, err, ExitCode(err), &out)
		}
	}
}

// TestNoStreamForATerminal: a terminal is neither written an export to, nor read one of.
func TestNoStreamForATerminal(t *testing.T) {
	dir := t.TempDir()
	mustSeed(t, dir, "acme")
	_, program := mustTerminal(t)
	if err := run(t.Context(), []string{"export", "--app", "acme", "--data", dir}, strings.NewReader(""), program, io.Discard); ExitCode(err) != 2 || !strings.Contains(err.Error(), "--out") {
		t.Errorf("export: %v", err)
	}
	if err := run(t.Context(), []string{"import", "--app", "copy", "--data", dir}, program, io.Discard, io.Discard); ExitCode(err) != 2 || !strings.Contains(err.Error(), "--in") {
		t.Errorf("import: %v", err)
	}
}

// TestLongWorkShowsHowFarItIs on a terminal, on standard error, and takes that away at the end.
func TestLongWorkShowsHowFarItIs(t *testing.T) {
	dir := t.TempDir()
	data, app, all := dir+"/data", dir+"/acme.app", dir+"/all.backup"
	mustSeed(t, data, "acme")
	for _, tt := range []struct{ line, shown string }{
		{"check --data " + data, "verifying " + data},
		{"export --app acme --out " + app + " --data " + data, "exporting acme"},
		{"import --app copy --in " + app + " --data " + data, "importing copy "},
		{"backup " + data + " --to " + all, "backing up"},
		{"restore " + all + " --data " + dir + "/restored", "restoring "},
	} {
		person, program := mustTerminal(t)
		if err := run(t.Context(), strings.Fields(tt.line), strings.NewReader(""), &bytes.Buffer{}, program); err != nil {
			t.Fatalf("%s: %v", tt.line, err)
		}
		if err := program.Close(); err != nil {
			t.Fatal(err)
		}
		shown, _ := io.ReadAll(person) // to the end of the terminal, which is an error
		if text := string(shown); !strings.Contains(text, tt.shown) || !strings.HasSuffix(text, clearLine) {
			t.Errorf("%s has shown %q, want %s", tt.line, text, tt.shown)
		}
	}
}
