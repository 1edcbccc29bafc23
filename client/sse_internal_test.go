package client

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"carillon/server/api"
)

// framesOf reads all events of the text.
func framesOf(r io.Reader, last string) (all []frame, err error) {
	f := newFrames(r, last)
	for {
		e, err := f.next()
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}

// TestFrames: what a stream is read as, in one piece and byte by byte.
func TestFrames(t *testing.T) {
	type e = frame
	for _, tt := range []struct {
		name, text string
		want       []frame
	}{
		{"none", "", nil},
		{"comments", ": hello\n\n:\n\n", nil},
		{"one", "event: ended\nid: 7\ndata: {}\n\n", []e{{"ended", []byte("{}"), "7"}}},
		{"no space", "event:ended\nid:7\ndata:{}\n\n", []e{{"ended", []byte("{}"), "7"}}},
		{"two spaces", "data:  x\n\n", []e{{"", []byte(" x"), "0"}}},
		{"line ends", "event: a\r\ndata: 1\r\n\r\nevent: b\rdata: 2\r\rdata: 3\n\n", []e{{"a", []byte("1"), "0"}, {"b", []byte("2"), "0"}, {"", []byte("3"), "0"}}},
		{"lines", "data: a\ndata\ndata: b\n\n", []e{{"", []byte("a\n\nb"), "0"}}},
		{"empty data", "data\n\n", []e{{"", nil, "0"}}},
		{"mark", "\ufeffdata: a\n\n", []e{{"", []byte("a"), "0"}}},
		{"unknown fields", "retry: 5\nfoo: bar\ndata: a\n\n", []e{{"", []byte("a"), "0"}}},
		{"no data", "event: a\nid: 9\n\ndata: b\n\n", []e{{"", []byte("b"), "9"}}},
		{"id stays", "id: 1\ndata: a\n\ndata: b\n\n", []e{{"", []byte("a"), "1"}, {"", []byte("b"), "1"}}},
		{"empty id", "id: 1\ndata: a\n\nid: \ndata: b\n\n", []e{{"", []byte("a"), "1"}, {"", []byte("b"), ""}}},
		{"odd id", "id: 1\x00\ndata: a\n\n", []e{{"", []byte("a"), "0"}}},
		{"cut in an event", "id: 1\ndata: a\n\nid: 2\ndata: b\n", []e{{"", []byte("a"), "1"}}},
		{"cut in a line", "id: 1\ndata: a\n\nid: 2\ndata: b", []e{{"", []byte("a"), "1"}}},
	} {
		for _, r := range []io.Reader{strings.NewReader(tt.text), iotest.OneByteReader(strings.NewReader(tt.text))} {
			got, err := framesOf(r, "0")
			if err != io.EOF || !sameFrames(got, tt.want) {
				t.Errorf("%s: got %q, %v", tt.name, got, err)
			}
		}
	}
}

func sameFrames(a, b []frame) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].name != b[i].name || string(a[i].data) != string(b[i].data) || a[i].last != b[i].last {
			return false
		}
	}
	return true
}

// TestFramesAreBounded: a line and an event of the longest length are read, and one byte more is an error.
func TestFramesAreBounded(t *testing.T) {
	fill := func(prefix string, n int) string { return prefix + strings.Repeat("x", n-len(prefix)) }
	half := maxEvent / 2
	for _, tt := range []struct {
		name, text string
		ok         bool
	}{
		{"line", fill("data:", maxEvent) + "\n\n", true},
		{"line+1", fill("data:", maxEvent+1) + "\n\n", false},
		{"event", fill("data:", half) + "\n" + fill("data:", half) + "\n\n", true},
		{"event+1", fill("data:", half) + "\n" + fill("data:", half+1) + "\n\n", false},
		{"comments", strings.Repeat(fill(":", half)+"\n\n", 3) + "data:x\n\n", true},
	} {
		_, err := newFrames(strings.NewReader(tt.text), "").next()
		if tt.ok != (err == nil) || err != nil && !errors.Is(err, api.CodeResourceExhausted) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

var lineEnd = regexp.MustCompile("\r\n|\r|\n")

// FuzzFrames: a stream is read as by another reader, which takes it apart as a whole.
func FuzzFrames(f *testing.F) {
	for _, text := range []string{"event: a\nid: 7\ndata: {}\n\n", "\ufeffdata\r\rid:\ndata:a\n\r\n: x\n", "id: 1\ndata: a\ndata: b\r\n\r\nid: 2\ndata"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want []frame
		lines := lineEnd.Split(strings.TrimPrefix(text, "\ufeff"), -1)
		last, e, data := "", frame{}, []string(nil)
		id := last
		for _, line := range lines[:len(lines)-1] { // the last one has no end
			name, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case line == "":
				last = id
				if data != nil {
					want = append(want, frame{e.name, []byte(strings.Join(data, "\n")), last})
				}
				e, data = frame{}, nil
			case name == "event":
				e.name = value
			case name == "data":
				data = append(data, value)
			case name == "id" && !strings.Contains(value, "\x00"):
				id = value
			}
		}
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			if got, err := framesOf(r, ""); err != io.EOF || !sameFrames(got, want) {
				t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
			}
		}
	})
}
