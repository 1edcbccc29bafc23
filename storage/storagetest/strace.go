//go:build linux

package storagetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// DiskCalls are the calls that change a file, or make that durable.
var DiskCalls = []string{"pwrite64", "fdatasync", "fsync", "ftruncate"}

// IdleCalls is how many calls of each kind a committer's thread makes in vain.
const IdleCalls = 40

// Part is a part of a store on the disk.
type Part string

// The parts.
const (
	Whole Part = "store" // all of it
	Log   Part = "log"   // the log: its directory, and the segments in it
	Files Part = "files" // the volume files
)

// Only are the options that have strace see no calls but those that concern the part of the
// store in the directory, and those in vain. There are none for the whole.
func (p Part) Only(dir string) (options []string) {
	var names []string
	switch p {
	case Log:
		names = []string{"log", "log/new", "log/lock"}
		for i := range 32 {
			names = append(names, fmt.Sprintf("log/%06d.log", i+1))
		}
	case Files:
		for i := range 8 {
			name := fmt.Sprintf("volume-%03d.db", i)
			names = append(names, name, name+".new")
		}
	default:
		return nil
	}
	options = []string{"-P", os.DevNull}
	for _, name := range names {
		options = append(options, "-P", filepath.Join(dir, name))
	}
	return options
}

// has says whether the file is of the part, or that of the calls in vain.
func (p Part) has(file string) bool {
	inLog := filepath.Base(file) == "log" || filepath.Base(filepath.Dir(file)) == "log"
	return file == os.DevNull || p == Whole || inLog == (p == Log)
}

// OwnThreads returns a fault hook (storage.Options.Fault) that ties each committer, and
// what makes checkpoints, to a thread of its own, at its first commit, and has it make its
// calls in vain. Once a volume was opened anew, a new thread makes so many of them that a call
// which fails once has failed before the thread makes one of use.
func OwnThreads() func(point string) error {
	var tied sync.Map // by thread
	var calls atomic.Int32
	calls.Store(IdleCalls)
	return func(point string) error {
		if point == "reopen" {
			calls.Store(20 * IdleCalls)
		}
		runtime.LockOSThread()
		if _, ok := tied.LoadOrStore(syscall.Gettid(), true); ok {
			runtime.UnlockOSThread() // the lock of its first commit stays
			return nil
		}
		fd, err := syscall.Open("/dev/null", syscall.O_WRONLY, 0)
		if err != nil {
			panic(err)
		}
		for range calls.Load() {
			_, _ = syscall.Pwrite(fd, []byte{0}, 0)
			_ = syscall.Fdatasync(fd)
			_ = syscall.Fsync(fd)
			_ = syscall.Ftruncate(fd, 0)
		}
		return nil
	}
}

// Kill are the options of strace that kill the process instead of the n-th of the
// call.
func Kill(call string, n int) []string {
	return []string{"-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, n)}
}

// Fail are the options that have the n-th of the call fail, or all from there on.
// How is what strace is to inject, such as error=EIO.
func Fail(call, how string, n int, forever bool) []string {
	when := fmt.Sprint(n)
	if forever {
		when += "+"
	}
	return []string{"-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:%s:when=%s", call, how, when)}
}

// FailWhile are the options that have the call fail from the first time to the last.
func FailWhile(call, how string, first, last int) []string {
	return []string{"-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:%s:when=%d..%d", call, how, first, last)}
}

// Count are the options that write down the disk calls, for ReadCounts.
func Count(file string) []string {
	return []string{"-y", "-s", "0", "-e", "trace=" + strings.Join(DiskCalls, ","), "-o", file}
}

// Strace is the program of that name.
type Strace struct{ path string }

// FindStrace skips the test where there is none.
func FindStrace(tb testing.TB) Strace {
	tb.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		tb.Skip("strace is not installed: no disk call can be made to fail")
	}
	return Strace{path}
}

// Command is the command with all its threads and children under strace, whose
// options are given.
func (s Strace) Command(ctx context.Context, options []string, name string, args ...string) *exec.Cmd {
	how := []string{"-f", "-qq", "-o", os.DevNull}
	if !strings.Contains(strings.Join(options, " "), "signal=") {
		// Calls that are not asked for do not stop then, nor can signals be injected.
		how = append(how, "--seccomp-bpf")
	}
	return exec.CommandContext(ctx, s.path, slices.Concat(how, options, []string{name}, args)...)
}

// Refused says whether the output of a command is that of a strace that may not
// trace here, as in some containers.
func Refused(output string) bool {
	return strings.Contains(output, "ptrace(") || strings.Contains(output, "Operation not permitted")
}

// Killed says whether the error is that of a process that was killed, by Kill or
// with strace itself.
func Killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && (status.Signaled() && status.Signal() == syscall.SIGKILL || status.ExitStatus() == 128+int(syscall.SIGKILL))
}

// Counts is how many calls of each kind opening makes, and a committer, or what makes
// checkpoints, at most.
type Counts struct{ Opening, Committing map[string]int }

var countedCall = regexp.MustCompile(`(?m)^(\d+) +(\w+)\(\d+<([^>]*)>`)

// ReadCounts reads what Count has written, of calls that concern the part.
func ReadCounts(log string, part Part) (Counts, error) {
	lines, err := os.ReadFile(log)
	if err != nil {
		return Counts{}, err
	}
	byThread := map[string]map[string]int{}
	for _, m := range countedCall.FindAllStringSubmatch(string(lines), -1) {
		if !part.has(m[3]) {
			continue
		}
		if byThread[m[1]] == nil {
			byThread[m[1]] = map[string]int{}
		}
		byThread[m[1]][m[2]]++
	}
	c := Counts{map[string]int{}, map[string]int{}}
	for _, calls := range byThread {
		for _, call := range DiskCalls {
			if calls["fsync"] >= IdleCalls {
				c.Committing[call] = max(c.Committing[call], calls[call]-IdleCalls)
			} else {
				c.Opening[call] = max(c.Opening[call], calls[call])
			}
		}
	}
	if c.Committing["fdatasync"] == 0 || c.Opening["pwrite64"] == 0 || c.Opening["pwrite64"] >= IdleCalls {
		return c, fmt.Errorf("threads made these disk calls: %v, want some that open and some that commit", byThread)
	}
	return c, nil
}

// Points are the counts of the call that mean one of opening or of a committer.
func (c Counts) Points(call string) (all []int) {
	for i := range c.Opening[call] {
		all = append(all, i+1)
	}
	for i := range c.Committing[call] {
		all = append(all, IdleCalls+i+1)
	}
	return all
}
