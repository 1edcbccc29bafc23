package cmd

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// manager is a socket as systemd has it, which is read all the time.
type manager struct {
	path   string
	states chan string
}

func mustManage(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // t.TempDir may be longer than a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{path: filepath.Join(dir, "n"), states: make(chan string, 1<<16)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for text := make([]byte, 1024); ; {
			n, err := conn.Read(text)
			if err != nil {
				return
			}
			m.states <- string(text[:n])
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return m
}

// TestTheManagerIsTold that the server is ready, when it can be called; that it is alive; and that
// it stops, at the beginning of the end.
func TestTheManagerIsTold(t *testing.T) {
	m := mustManage(t)
	opts := sampleOptions()
	opts.Getenv = func(name string) string {
		return map[string]string{"NOTIFY_SOCKET": m.path, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}[name]
	}
	s := mustOperate(t, opts, filepath.Join(t.TempDir(), "data"), "--drain-notice", "1h")
	s.mustBeReady(t)
	if got := <-m.states; got != "READY=1" {
		t.Fatalf("it said %s", got)
	}
	mustSay(t, s.site+"/readyz", 200, `"ok"`)
	for range 2 {
		if got := <-m.states; got != "WATCHDOG=1" {
			t.Fatalf("it said %s", got)
		}
	}
	s.stop()
	<-s.notice
	for {
		got := <-m.states
		if got == "STOPPING=1" {
			break
		}
		if got != "WATCHDOG=1" {
			t.Fatalf("it said %s", got)
		}
	}
	mustSay(t, s.site+"/livez", 200, `"ok"`)
	s.over <- time.Time{}
	s.mustEnd(t)
}

// TestAManagerThatIsGone is told of in the log, and else makes no difference.
func TestAManagerThatIsGone(t *testing.T) {
	var log bytes.Buffer
	notifier{"/nowhere/socket", slog.New(slog.NewTextHandler(&log, nil))}.tell("READY=1")
	if !strings.Contains(log.String(), `msg="the service manager is not told" state="READY=1" err=`) {
		t.Errorf("the log has %s", &log)
	}
}

// TestTheWatchdogAsksTheEngine: there is a beat twice in each span, and none while the engine does
// not answer.
func TestTheWatchdogAsksTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var hangs, beats atomic.Int64
		var log bytes.Buffer
		done := make(chan struct{})
		go func() {
			defer close(done)
			keepAlive(ctx, 30*time.Second, func(ctx context.Context) error {
				if hangs.Load() == 0 {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}, func() { beats.Add(1) }, slog.New(slog.NewTextHandler(&log, nil)))
		}()
		for _, want := range []struct{ hangs, beats int64 }{{0, 4}, {1, 0}, {0, 4}} {
			hangs.Store(want.hangs)
			beats.Store(0)
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := beats.Load(); n < want.beats-1 || n > want.beats+1 || want.beats == 0 && n > 0 {
				t.Errorf("with %d hanging there were %d beats in a minute, want about %d", want.hangs, n, want.beats)
			}
		}
		stop()
		<-done
		if n := strings.Count(log.String(), "the engine does not answer"); n < 3 {
			t.Errorf("the log has it %d times: %s", n, &log)
		}
	})
}

// TestWatchdogSpans: microseconds, of this process alone.
func TestWatchdogSpans(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
		ok        bool
	}{
		{"", "", 0, true},
		{"30000000", "", 30 * time.Second, true},
		{"30000000", "1", 0, true},
		{"1", strconv.Itoa(os.Getpid()), time.Microsecond, true},
		{"86400000000", "", 24 * time.Hour, true},
		{"86400000001", "", 0, false},
		{"0", "", 0, false},
		{"-5", "", 0, false},
		{"soon", "", 0, false},
	} {
		p := &program{Options: Options{Getenv: func(name string) string {
			return map[string]string{"WATCHDOG_USEC": tt.usec, "WATCHDOG_PID": tt.pid}[name]
		}}}
		if got, err := p.watchdog(); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q of %q: %v, %v", tt.usec, tt.pid, got, err)
		}
	}
}
