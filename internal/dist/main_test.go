package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const epoch = "1796000000"

// TestArchivesAreTheSame: of the same files, made in another order, at another time, with other rights
// of the group, both forms are the same to the byte, and have all of them.
func TestArchivesAreTheSame(t *testing.T) {
	files := []string{"b/run", "a.txt", "b.txt"}
	var made [2]map[string][]byte
	for i := range made {
		dir := filepath.Join(t.TempDir(), "tower-1.0.0")
		if err := os.MkdirAll(filepath.Join(dir, "b"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			mode := os.FileMode(0o600 + 0o040*os.FileMode(i))
			if name == "b/run" {
				mode |= 0o100
			}
			path := filepath.Join(dir, name)
			if err := errors.Join(os.WriteFile(path, []byte("of "+name), mode), os.Chtimes(path, time.Time{}, time.Unix(int64(i), 0))); err != nil {
				t.Fatal(err)
			}
		}
		slices.Reverse(files)
		made[i] = map[string][]byte{}
		for _, form := range []string{".tar.gz", ".zip"} {
			out := filepath.Join(t.TempDir(), "out"+form)
			if err := run([]string{"archive", out, dir}, epoch, io.Discard); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			made[i][form] = data
		}
	}
	for form, data := range made[0] {
		if !bytes.Equal(data, made[1][form]) {
			t.Errorf("two %s of the same files differ", form)
		}
	}

	want := "tower-1.0.0/a.txt 644 of a.txt, tower-1.0.0/b/run 755 of b/run, tower-1.0.0/b.txt 644 of b.txt"
	var got []string
	add := func(name string, mode os.FileMode, at time.Time, r io.Reader) {
		data, err := io.ReadAll(r)
		if err != nil || at.Unix() != 1796000000 {
			t.Errorf("%s: %v, of %v", name, err, at)
		}
		got = append(got, name+" "+map[os.FileMode]string{0o644: "644", 0o755: "755"}[mode]+" "+string(data))
	}
	z, err := gzip.NewReader(bytes.NewReader(made[0][".tar.gz"]))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		add(h.Name, h.FileInfo().Mode(), h.ModTime, r)
	}
	if have := strings.Join(got, ", "); have != want {
		t.Errorf("the .tar.gz has %s, want %s", have, want)
	}
	got = nil
	r, err := zip.NewReader(bytes.NewReader(made[0][".zip"]), int64(len(made[0][".zip"])))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		add(f.Name, f.Mode(), f.Modified, content)
		_ = content.Close()
	}
	if have := strings.Join(got, ", "); have != want {
		t.Errorf("the .zip has %s, want %s", have, want)
	}
}

// TestWhatIsLinkedIsNamed: the bill has what is linked, as others name it, and the notices have the
// licenses of that.
func TestWhatIsLinkedIsNamed(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Deps: []*debug.Module{
			{Path: "go.uber.org/goleak", Version: "v1.3.0", Sum: "h1:x="},
			{Path: "github.com/Workiva/go-datastructures", Version: "v1.1.3+incompatible"},
		},
		Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "-trimpath", Value: "true"}},
	}
	var out bytes.Buffer
	if err := sbom(&out, "tower", "1.0.0", info, []byte("abc"), time.Unix(1796000000, 0).UTC()); err != nil {
		t.Fatal(err)
	}
	var list bom
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	want := component{
		Type: "application", Ref: "tower", Name: "tower", Version: "1.0.0",
		Hashes:     []hash{{"SHA-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}},
		Properties: []property{{"GOOS", "linux"}},
	}
	if got := list.Metadata.Component; !reflect.DeepEqual(got, want) {
		t.Errorf("it is about %+v, want %+v", got, want)
	}
	var urls []string
	for _, c := range list.Components {
		urls = append(urls, c.PURL)
	}
	if want := []string{"pkg:golang/stdlib@1.26.8", "pkg:golang/go.uber.org/goleak@v1.3.0", "pkg:golang/github.com/workiva/go-datastructures@v1.1.3%2Bincompatible"}; !slices.Equal(urls, want) {
		t.Errorf("it has %q, want %q", urls, want)
	}

	out.Reset()
	info.Deps = info.Deps[:1]
	if err := notices(&out, info); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"== Go: LICENSE\n\nCopyright", "== go.uber.org/goleak v1.3.0: LICENSE\n", "Permission is hereby granted"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the notices do not have %q", want)
		}
	}
	if err := notice(io.Discard, "a module", t.TempDir()); err == nil {
		t.Error("a module without a license may be given away")
	}
}

// TestWrongLines: a line that is not understood, or a build without a date, makes nothing.
func TestWrongLines(t *testing.T) {
	for _, line := range []string{"", "archive", "archive out.rar .", "sbom a b", "publish"} {
		if err := run(strings.Fields(line), epoch, io.Discard); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
	if err := run([]string{"notices", "x"}, "", io.Discard); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Errorf("without a date: %v", err)
	}
}
