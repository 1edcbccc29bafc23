package workload

import (
	"bytes"
	"os"
	"strconv"
)

// written is how many bytes this process has had written to files, by the system's
// own account. The account of pages that it keeps, too, says nothing: a page that was
// filled by a long write counts as all the pages that were filled with it whenever a
// part of it is written again, 1 MiB for 4 KiB. ok is false where the system does not
// tell.
func written() (n int64, ok bool) { return writtenBy("/proc/self/io") }

func writtenBy(path string) (n int64, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	_, rest, ok := bytes.Cut(text, []byte("wchar: "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err = strconv.ParseInt(string(line), 10, 64)
	return n, ok && err == nil
}

// account says of each row what was written for it: all since the row before. So
// filling and checkpoints count, and what the close writes counts for the last row of
// an opening, which is therefore held back until then.
type account struct {
	total func() (n int64, ok bool) // what was written so far
	tell  func(Row)

	last   int64 // written when the row before was charged
	beside int64 // of what was written since, what is not the system's
	open   bool  // a queue is
	held   *Row
}

// begin begins to count.
func (a *account) begin() { a.last, _ = a.total() }

// emit tells the row, now or when the queue that is open was closed.
func (a *account) emit(row Row) {
	a.release()
	if row.BytesWritten == nil {
		a.charge(&row)
	}
	a.held = &row
	if !a.open {
		a.release()
	}
}

// charge has the row bear what was written since the row before.
func (a *account) charge(row *Row) {
	n, ok := a.total()
	if !ok {
		return
	}
	if row.BytesWritten == nil {
		row.BytesWritten = new(int64(0))
	}
	*row.BytesWritten += n - a.last - a.beside
	a.last, a.beside = n, 0
}

// closed is told that the queue was closed.
func (a *account) closed() {
	a.open = false
	if a.held != nil {
		a.charge(a.held)
	}
	a.release()
}

// release tells the row that is held back.
func (a *account) release() {
	row := a.held
	if row == nil {
		return
	}
	a.held = nil
	jobs := row.Jobs
	if row.wroteFor != 0 {
		jobs = row.wroteFor
	}
	if row.BytesWritten != nil && jobs > 0 {
		row.BytesPerJob = new(float64(*row.BytesWritten) / float64(jobs))
	}
	a.tell(*row)
}
