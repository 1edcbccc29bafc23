package kv_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal/waltest"
)

// moment is a log and a copy as a file copy of a closed store finds them.
type moment struct {
	disk *waltest.Disk
	file []byte
}

// moment closes the volume.
func (v *volume) moment(tb testing.TB, clean bool) moment {
	tb.Helper()
	end := v.Abandon
	if clean {
		end = v.Close
	}
	if err := errors.Join(end(), v.log.Close()); err != nil {
		tb.Fatal(err)
	}
	v.DB, v.log = nil, nil
	return moment{v.disk.Copy(), v.file(tb)}
}

// volumeOf is the volume of a log and a copy.
func volumeOf(tb testing.TB, log, file moment) *volume {
	tb.Helper()
	v := &volume{disk: log.disk.Copy(), path: filepath.Join(tb.TempDir(), "volume.db")}
	if err := os.WriteFile(v.path, file.file, 0o600); err != nil {
		tb.Fatal(err)
	}
	return v
}

// TestG23_ALogAndACopyOfDifferentMoments: they are refused, and nothing is changed, or show
// all that the later of them had. Of two lives of one store they are refused.
func TestG23_ALogAndACopyOfDifferentMoments(t *testing.T) {
	for _, clean := range []bool{false, true} {
		v := newVolume(t, 1)
		mustOpenVolume(t, v)
		mustPut(t, v, "a", "1")
		first := v.moment(t, true)
		live := func(value string) moment {
			v := volumeOf(t, first, first)
			mustOpenVolume(t, v)
			mustPut(t, v, "a", value)
			mustPut(t, v, "b", "2")
			return v.moment(t, clean)
		}
		second, other := live("1"), live("2")
		long := volumeOf(t, other, other)
		mustOpenVolume(t, long)
		for range 20 {
			mustPut(t, long, "c", "3")
		}
		later := long.moment(t, clean)
		for name, tt := range map[string]struct {
			log, file moment
			want      table // nil: it is refused
		}{
			"one moment":                    {second, second, table{"a": "1", "b": "2"}},
			"the log before anything":       {moment{disk: waltest.NewDisk(2)}, second, nil},
			"the copy is older":             {second, first, table{"a": "1", "b": "2"}},
			"the log is older":              {first, second, nil},
			"the log is of another life":    {other, second, nil},
			"the log has gone on elsewhere": {later, second, nil},
		} {
			v := volumeOf(t, tt.log, tt.file)
			err := v.open(t)
			// The copy may not need the log: then it does not know the difference.
			same := !clean && slices.Equal(tt.file.file, first.file)
			switch {
			case err == nil && tt.want == nil && !same:
				t.Errorf("clean %v, %s: it shows %v, want it to be refused", clean, name, v.shown(t))
			case err == nil && tt.want != nil && !maps.Equal(v.shown(t), tt.want):
				t.Errorf("clean %v, %s: it shows %v, want %v", clean, name, v.shown(t), tt.want)
			case err != nil && !errors.Is(err, kv.ErrBadFile):
				t.Errorf("clean %v, %s: %v, want ErrBadFile", clean, name, err)
			case err != nil && !slices.Equal(v.file(t), tt.file.file):
				t.Errorf("clean %v, %s: it was refused and changed", clean, name)
			}
			v.crash(t, false)
		}
	}
}
