package workload

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// mustAccount is an account of what others write, and the rows that it tells.
func mustAccount(t *testing.T) (a *account, writes *int64, told *[]string) {
	t.Helper()
	writes, told = new(int64), &[]string{}
	a = &account{total: func() (int64, bool) { return *writes, true }, tell: func(r Row) {
		n, per := int64(-1), -1.0
		if r.BytesWritten != nil {
			n = *r.BytesWritten
		}
		if r.BytesPerJob != nil {
			per = *r.BytesPerJob
		}
		*told = append(*told, fmt.Sprint(r.Workload, " ", n, " ", per))
	}}
	a.begin()
	return a, writes, told
}

func TestAccount(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(a *account, wrote *int64)
		want []string
	}{
		{"a row after the close has all of it", func(a *account, wrote *int64) {
			a.open = true
			*wrote += 100 // filled
			*wrote += 10
			*wrote += 90 // closed
			a.closed()
			a.emit(Row{Workload: "one", Jobs: 10})
			*wrote += 5
			a.emit(Row{Workload: "two", Jobs: 10})
		}, []string{"one 200 20", "two 5 0.5"}},
		{"the last row before the close has what that writes", func(a *account, wrote *int64) {
			*wrote += 7 // stored in an opening of its own
			a.closed()
			a.open = true
			*wrote += 3
			a.emit(Row{Workload: "one", Jobs: 10})
			*wrote += 20
			a.emit(Row{Workload: "two", Jobs: 10})
			*wrote += 80
			a.closed()
			a.open = true
			*wrote += 40
			a.emit(Row{Workload: "three", Jobs: 10})
			a.closed()
		}, []string{"one 10 1", "two 100 10", "three 40 4"}},
		{"what is not the system's is not charged", func(a *account, wrote *int64) {
			*wrote += 100
			a.beside = 60
			a.emit(Row{Workload: "one", Jobs: 10})
			a.emit(Row{Workload: "floor", Jobs: 10, BytesWritten: new(int64(60))})
			*wrote += 10
			a.emit(Row{Workload: "two", Jobs: 10})
		}, []string{"one 40 4", "floor 60 6", "two 10 1"}},
		{"of other jobs than the row's, and of none", func(a *account, wrote *int64) {
			*wrote += 100
			a.emit(Row{Workload: "loaded", Jobs: 10, wroteFor: 50})
			*wrote += 100
			a.emit(Row{Workload: "idle", Jobs: 10, wroteFor: -1})
		}, []string{"loaded 100 2", "idle 100 -1"}},
		{"what does not tell", func(a *account, wrote *int64) {
			a.total = func() (int64, bool) { return 0, false }
			*wrote += 100
			a.emit(Row{Workload: "one", Jobs: 10})
		}, []string{"one -1 -1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, wrote, told := mustAccount(t)
			tt.do(a, wrote)
			if !slices.Equal(*told, tt.want) {
				t.Errorf("got %q, want %q", *told, tt.want)
			}
		})
	}
}

func TestWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "io")
	for _, tt := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"rchar: 1\nwchar: 8192\nsyscr: 2\nwrite_bytes: 4096\n", 8192, true},
		{"rchar: 1\nwchar: many\n", 0, false},
		{"rchar: 1\n", 0, false},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, ok := writtenBy(file); n != tt.want || ok != tt.ok {
			t.Errorf("%q: got %d, %v", tt.text, n, ok)
		}
	}
	if _, ok := writtenBy(file + ".none"); ok {
		t.Error("a file that does not exist tells")
	}
}

// TestWrittenIsWhatFilesGet: each byte once, however long the write was that the
// page was filled by.
func TestWrittenIsWhatFilesGet(t *testing.T) {
	if _, ok := written(); !ok {
		t.Skip("this system does not tell what a process has written")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const (
		filled = 1 << 20
		again  = 50 * 4096
		slack  = 64 << 10 // of what else writes in this process
	)
	wrote := func(fn func()) int64 {
		before, _ := written()
		fn()
		after, _ := written()
		return after - before
	}
	put := func(data []byte, at int64) {
		if _, err := f.WriteAt(data, at); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if n := wrote(func() { put(make([]byte, filled), 0) }); n < filled || n > filled+slack {
		t.Errorf("%d bytes were written for %d", n, filled)
	}
	n := wrote(func() {
		for i := range int64(50) {
			put(make([]byte, 4096), i*4096)
		}
	})
	if n < again || n > again+slack {
		t.Errorf("%d bytes were written again for %d", n, again)
	}
}
