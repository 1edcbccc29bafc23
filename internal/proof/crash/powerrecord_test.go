package crash_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// recordedCalls are the calls that a record is made of: those that change files
// and directories, those that make the changes durable, and what was said.
const recordedCalls = "pwrite64,fdatasync,fsync,ftruncate,openat,renameat,renameat2,rename,mkdirat,unlinkat,write"

// recordOptions have strace write down every byte, and which file it went to.
func recordOptions(log string) []string {
	return []string{"-y", "-s", strconv.Itoa(1 << 24), "-o", log, "-e", "trace=" + recordedCalls}
}

// diskEvent is the beginning or the end of a call in a record. The end is the
// same call again, with the answer.
type diskEvent struct {
	*diskCall
	ended bool
}

// diskCall is a call that concerns the disk.
type diskCall struct {
	name     string
	path, to string // to: of a rename
	data     []byte // that was written
	at       int64  // where, or how long the file is to be
	creates  bool   // it makes the file if need be
	ret      int64
}

var (
	recordLine = regexp.MustCompile(`^(\d+) +(\w+)\((.*)$`)
	resumedEnd = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>.*\) += (-?\d+)`)
	callEnd    = regexp.MustCompile(`\) += (-?\d+)[^"]*$`)
	fdPath     = regexp.MustCompile(`^(\d+)<([^>]*)>`)
	quoted     = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
	offset     = regexp.MustCompile(`", \d+, (\d+)(?:\)| <)`)
)

// readRecord reads what strace has written down.
func readRecord(log string) (events []diskEvent, err error) {
	f, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	open := map[string]*diskCall{} // by thread: the call under way
	lines := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return events, nil // a last line that is cut off is of a call that has not begun
		} else if err != nil {
			return nil, err
		}
		line = strings.TrimSuffix(line, "\n")
		if m := resumedEnd.FindStringSubmatch(line); m != nil {
			if call := open[m[1]]; call != nil {
				if call.ret, err = strconv.ParseInt(m[3], 10, 64); err != nil {
					return nil, err
				}
				events = append(events, diskEvent{call, true})
				delete(open, m[1])
			}
			continue
		}
		m := recordLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		call, err := parseCall(m[2], m[3])
		if err != nil {
			return nil, fmt.Errorf("%.200s: %w", line, err)
		}
		if call == nil {
			continue
		}
		events = append(events, diskEvent{call, false})
		if end := callEnd.FindStringSubmatch(line); end == nil {
			open[m[1]] = call
		} else if call.ret, err = strconv.ParseInt(end[1], 10, 64); err != nil {
			return nil, err
		} else {
			events = append(events, diskEvent{call, true})
		}
	}
}

// parseCall reads the arguments of a call; nil is one that is of no interest.
func parseCall(name, args string) (call *diskCall, err error) {
	call = &diskCall{name: name}
	fd := fdPath.FindStringSubmatch(args)
	if fd != nil {
		call.path = fd[2]
	}
	switch name {
	case "write":
		if fd == nil || fd[1] != "1" {
			return nil, nil
		}
		call.data, err = unquote(args)
	case "pwrite64":
		if call.data, err = unquote(args); err != nil {
			return nil, err
		}
		m := offset.FindStringSubmatch(args)
		if m == nil {
			return nil, fmt.Errorf("no offset")
		}
		call.at, err = strconv.ParseInt(m[1], 10, 64)
	case "ftruncate":
		_, err = fmt.Sscanf(args[strings.Index(args, ">, "):], ">, %d", &call.at)
	case "openat", "mkdirat", "unlinkat", "rename", "renameat", "renameat2":
		names := quoted.FindAllStringSubmatch(args, 2)
		if len(names) == 0 {
			return nil, nil
		}
		call.path = names[0][1]
		if len(names) == 2 {
			call.to = names[1][1]
		}
		call.creates = strings.Contains(args, "O_CREAT")
	}
	return call, err
}

// unquote undoes the quoting of the first string: that of C, with octal escapes.
func unquote(args string) ([]byte, error) {
	i := strings.IndexByte(args, '"')
	if i < 0 {
		return nil, fmt.Errorf("no string")
	}
	data := bytes.NewBuffer(make([]byte, 0, 4096))
	for i++; i < len(args) && args[i] != '"'; i++ {
		if args[i] != '\\' {
			data.WriteByte(args[i])
			continue
		}
		i++
		if c := strings.IndexByte(`tnvfr`, args[i]); c >= 0 {
			data.WriteByte("\t\n\v\f\r"[c])
		} else if args[i] < '0' || args[i] > '7' {
			data.WriteByte(args[i])
		} else {
			n := 0
			end := min(i+3, len(args))
			for ; i < end && args[i] >= '0' && args[i] <= '7'; i++ {
				n = n*8 + int(args[i]-'0')
			}
			i--
			data.WriteByte(byte(n))
		}
	}
	return data.Bytes(), nil
}
