package storage

import (
	"encoding/binary"
	"fmt"
	"time"

	"carillon/proto"
)

// An attempt of a job leaves the last lines that its handler has logged, and what it has failed of, as
// long as the job's record is kept.
//
//	number ‖ 'L' ‖ sequence number of the job ‖ attempt ‖ length     the lines, a record of that many bytes
//
// The length is in the key so that their sum can be kept, whatever becomes of a value.

// Bounds of what is logged: MaxLogLines are kept of an attempt, the last ones, each of at most
// MaxLogLine bytes, and of a job those of the latest MaxLoggedAttempts that have any. What an attempt
// has failed of has at most MaxCause bytes, and where that was MaxStack.
const (
	MaxLogLines       = 50
	MaxLogLine        = 1 << 10
	MaxLoggedAttempts = 10
	MaxCause          = 4 << 10
	MaxStack          = 8 << 10
)

// DefaultMaxLogBytes is how many bytes the lines of an app's jobs may have together: those of the jobs
// that were scheduled first make room for others.
const DefaultMaxLogBytes = 64 << 20

// LogLine is a line that the handler of a job has logged.
type LogLine struct {
	At    time.Time `json:"at"`
	Level int       `json:"level"` // that of slog: 0 is info, 4 warn, 8 error
	Text  string    `json:"text"`
}

// AttemptLog is the last lines that an attempt has logged, and what it has failed of.
type AttemptLog struct {
	Attempt int       `json:"attempt"`
	Dropped int       `json:"dropped,omitempty"` // lines before those
	Lines   []LogLine `json:"lines"`
	Cause   string    `json:"cause,omitempty"` // what the message of its error does not tell, up to MaxCause bytes
	Stack   string    `json:"stack,omitempty"` // where that was, up to MaxStack bytes
}

func (n keyspace) logs(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(n.prefix(tagLog), seq)
}

func (n keyspace) log(seq uint64, attempt, size int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(n.logs(seq), uint32(attempt)), uint32(size))
}

// logOf is what the key says. ok is false for a key that damage has changed.
func logOf(key []byte) (seq uint64, attempt, size int, ok bool) {
	rest := tail(key)
	if len(rest) != 16 {
		return 0, 0, 0, false
	}
	return binary.BigEndian.Uint64(rest), int(binary.BigEndian.Uint32(rest[8:])), int(binary.BigEndian.Uint32(rest[12:])), true
}

// SetMaxLogBytes sets how many bytes the lines of the app's jobs may have together, instead of
// DefaultMaxLogBytes. n is 1 or more. It counts from the next line that is stored on.
func (a *App) SetMaxLogBytes(n int64) { a.mostLogged.Store(n) }

// LogBytes returns how many bytes they have, as of the last change submitted. Any goroutine may ask.
func (a *App) LogBytes() int64 { return a.loggedNow.Load() }

// SaveLog stores the last lines of the job's attempt in place of those that it has stored before: at
// most MaxLogLines. job must be as it was when claimed. ok is false if the attempt is over, or the
// lines have more bytes than all of the app may.
func (tx *Tx) SaveLog(job *Job, log AttemptLog) (ok bool, err error) {
	if err := tx.lockTop(); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	if ok, err := tx.attempts(job); err != nil || !ok {
		return false, err
	}
	return tx.saveLog(job, log)
}

// SaveLastLog is SaveLog in the transaction that has ended the attempt.
func (tx *Tx) SaveLastLog(job *Job, log AttemptLog) (ok bool, err error) {
	if err := tx.lockTop(); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	return tx.saveLog(job, log)
}

func (tx *Tx) saveLog(job *Job, log AttemptLog) (ok bool, err error) {
	seq, value := job.place.seq, encodeLog(log)
	c, most := &tx.top().counts, uint64(tx.app.mostLogged.Load())
	if uint64(len(value)) > most {
		return false, nil
	}
	rows, err := tx.logsOf(seq)
	if err != nil {
		return false, err
	}
	others := 0
	for _, r := range rows {
		if _, attempt, _, ok := logOf(r.key); ok && attempt != log.Attempt {
			others++
		}
	}
	for _, r := range rows {
		_, attempt, _, ok := logOf(r.key)
		if own := !ok || attempt == log.Attempt; own || others >= MaxLoggedAttempts {
			tx.dropLog(r.key)
			if !own {
				others--
			}
		}
	}
	for prefix := tx.app.keys.prefix(tagLog); c.logged+uint64(len(value)) > most; {
		first, err := tx.rows(prefix, after(prefix), false, 16)
		if err != nil {
			return false, err
		}
		if len(first) == 0 {
			c.logged, c.logs = 0, 0 // the count was wrong
		}
		for _, r := range first {
			if tx.dropLog(r.key); c.logged+uint64(len(value)) <= most {
				break
			}
		}
	}
	tx.put(tx.app.keys.log(seq, log.Attempt, len(value)), value)
	c.logs++
	c.logged += uint64(len(value))
	return true, nil
}

// logsOf are the rows of the job's lines.
func (tx *Tx) logsOf(seq uint64) ([]row, error) {
	if tx.top().counts.logs == 0 {
		return nil, nil
	}
	prefix := tx.app.keys.logs(seq)
	return tx.rows(prefix, after(prefix), false, MaxLoggedAttempts+1)
}

func (tx *Tx) dropLog(key []byte) {
	c := &tx.top().counts
	_, _, size, _ := logOf(key)
	tx.delete(key)
	c.logs -= min(c.logs, 1)
	c.logged -= min(c.logged, uint64(size))
}

// dropLogs drops the lines of a job whose record is taken away. It returns how many bytes that were.
func (tx *Tx) dropLogs(job *Job) (bytes int, err error) {
	rows, err := tx.logsOf(job.place.seq)
	for _, r := range rows {
		tx.dropLog(r.key)
		bytes += len(r.key) + len(r.value)
	}
	return bytes, err
}

// dropBeside drops what stays beside the record of a job that has ended, or is held, for as long as
// that is kept: what it has scheduled once, and what it has logged. It returns how many bytes that were.
func (tx *Tx) dropBeside(job *Job) (bytes int, err error) {
	once, err := tx.dropOnce(job)
	if err != nil {
		return once, err
	}
	logged, err := tx.dropLogs(job)
	return once + logged, err
}

// Logs returns what the attempts of the job have logged, as committed, the first of them first. Those
// of one that cannot be read are a line that says so.
func (s System) Logs(job *Job) (logs []AttemptLog, err error) {
	prefix := s.of.keys.logs(job.place.seq)
	rows, err := s.of.rows(prefix, after(prefix), false, MaxLoggedAttempts+1)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		_, attempt, _, ok := logOf(r.key)
		if !ok {
			continue
		}
		log, err := decodeLog(r.value)
		if err != nil {
			log.Lines = []LogLine{{Level: 8, Text: cannotRead(err)}}
		}
		log.Attempt = attempt
		logs = append(logs, log)
	}
	return logs, nil
}

func encodeLog(log AttemptLog) []byte {
	p := proto.AttemptLog{Version: recordVersion, Dropped: uint64(log.Dropped), Cause: log.Cause, Stack: log.Stack}
	for _, l := range log.Lines {
		p.Lines = append(p.Lines, &proto.LogLine{AtMs: msOf(l.At), Level: int32(l.Level), Text: l.Text})
	}
	return encoded(p.MarshalVT())
}

func decodeLog(data []byte) (log AttemptLog, err error) {
	var p proto.AttemptLog
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return log, fmt.Errorf("log lines: %w", err)
	}
	log.Dropped, log.Cause, log.Stack = int(p.Dropped), p.Cause, p.Stack
	log.Lines = make([]LogLine, len(p.Lines))
	for i, l := range p.Lines {
		log.Lines[i] = LogLine{timeOf(l.AtMs), int(l.Level), l.Text}
	}
	return log, nil
}

// log verifies the lines of one attempt. Whose they are job and finish verify.
func (c *jobCheck) log(key, value []byte) {
	c.got.logs++
	seq, attempt, size, ok := logOf(key)
	if !ok {
		c.bad("key %x of log lines", key)
		return
	}
	c.got.logged += uint64(size)
	c.logged[seq] = true
	switch log, err := decodeLog(value); {
	case err != nil:
		c.failed(err)
	case len(value) != size || len(log.Lines) > MaxLogLines || len(log.Cause) > MaxCause || len(log.Stack) > MaxStack:
		c.bad("the log of attempt %d of job number %d has %d lines and %d bytes, and is said to have %d", attempt, seq, len(log.Lines), len(value), size)
	}
}
