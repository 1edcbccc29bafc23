package storage

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// The audit log says what operators have changed. An entry is written in the commit of the
// change itself, into the Meta space of the volume that the change is in, so that it is no part
// of the app: it stays when the app is deleted, and no export has it.
//
//	"audit-" ‖ number     entry, in the order of the volume's commits
//	"auditsum"            how many bytes the rows have together

// Bounds of the audit log.
const (
	// AuditFor is how long an entry is kept.
	AuditFor = 90 * 24 * time.Hour
	// MaxAuditIDs is how many ids an entry names at most.
	MaxAuditIDs = 128
	// maxAuditText bounds each text of an entry, in bytes; what is longer is cut.
	maxAuditText    = 128
	defaultMaxAudit = 64 << 20
	// auditStep is how many entries a commit drops at most.
	auditStep = 256
	// auditLook is how many entries of a volume a page looks at.
	auditLook = 4096
)

var (
	auditPrefix = []byte("audit-")
	metaAudited = []byte("auditsum")
)

// AuditEntry is what an operator has changed with one commit.
type AuditEntry struct {
	At       time.Time `json:"at"`
	Operator string    `json:"operator"`
	Action   string    `json:"action"`        // such as "POST jobs/{id}/cancel"
	App      AppID     `json:"app,omitempty"` // "": it is about the store
	IDs      []string  `json:"ids,omitempty"` // of jobs, triggers and tokens; MaxAuditIDs at most
	Count    int       `json:"count"`         // how many there were, 0: that is not known
	From     string    `json:"from"`          // the address that it came from
}

// AuditFilter chooses entries. Each field that is not zero narrows it.
type AuditFilter struct {
	Apps     []AppID // of these apps; nil: of all, and of the store
	Operator string
	Span     TimeRange
	Limit    int    // of the page, 1 to 1000; 0 is 100
	Cursor   string // AuditPage.Next of the page before
}

// AuditPage is some of the entries, the latest first.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	// Next is where the next page begins, "" if there is none. A page has fewer entries
	// than it may when it has looked at thousands that were not chosen.
	Next string `json:"next,omitempty"`
}

// Audit has the entry written with the transaction's change, in one commit: both are
// there or neither. One that changes nothing has none. The entry says when the
// transaction began, and names what Concerns has been told. For engines.
func (tx *Tx) Audit(e AuditEntry) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.over {
		return
	}
	e.At, e.App = tx.now, tx.app.id
	e.IDs = append(slices.Clone(e.IDs), tx.concerns...)
	tx.audit = append(tx.audit, e.encode())
}

// Concerns adds ids to those that the transaction's entry names.
func (tx *Tx) Concerns(ids ...string) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.concerns = append(tx.concerns, ids...)
}

// Audit writes an entry about what is in no commit of its own, durably when it returns, in
// volume 0.
func (s *Store) Audit(e AuditEntry) error {
	v := s.volumes[0]
	return v.do(0, func(tx *kv.Txn) error { return v.auditAll(tx, []AuditEntry{e}) })
}

// auditAll writes entries, of which there may be none.
func (v *volume) auditAll(tx *kv.Txn, entries []AuditEntry) error {
	var rows [][]byte
	for i := range entries {
		rows = append(rows, entries[i].encode())
	}
	return v.audit(tx, rows...)
}

// audit writes entries, and drops the oldest ones while they have too many bytes.
func (v *volume) audit(tx *kv.Txn, rows ...[]byte) error {
	if len(rows) == 0 {
		return nil
	}
	next := auditEnd(tx.Base())
	sum, err := tx.Get(kv.Meta, metaAudited)
	if err != nil {
		return err
	}
	bytes := decodeU64(sum)
	for i, row := range rows {
		key := auditKey(next + uint64(i))
		if err := tx.Put(kv.Meta, key, row); err != nil {
			return err
		}
		bytes += uint64(len(key) + len(row))
	}
	bytes, _, err = v.dropAudit(tx, bytes, func(left uint64, _ []byte) bool { return left > uint64(v.maxAudit) })
	if err != nil {
		return err
	}
	return tx.Put(kv.Meta, metaAudited, u64(bytes))
}

// dropAudit drops the oldest entries that were there before, as long as they are to go, up to
// auditStep of them. sum is how many bytes there are, and left how many there are then.
func (v *volume) dropAudit(tx *kv.Txn, sum uint64, goes func(left uint64, row []byte) bool) (left uint64, more bool, err error) {
	c := tx.Base().Cursor(kv.Meta)
	n := 0
	for k, row := c.Seek(auditPrefix); bytes.HasPrefix(k, auditPrefix); k, row = c.Next() {
		if !goes(sum, row) {
			return sum, false, nil
		}
		if n == auditStep {
			return sum, true, nil
		}
		n++
		sum -= min(sum, uint64(len(k)+len(row)))
		if err := tx.Delete(kv.Meta, slices.Clone(k)); err != nil {
			return sum, false, err
		}
	}
	return sum, false, nil
}

// PurgeAudit drops the entries from before the instant, some hundred with each commit. It
// returns how the volumes that could not be purged have failed. For engines.
func (s *Store) PurgeAudit(before time.Time) error {
	return s.each(func(v *volume) error {
		expired := func(_ uint64, row []byte) bool {
			e, err := decodeAudit(row)
			return err != nil || e.At.Before(before) // what cannot be read would stay for ever
		}
		for more := true; more; {
			more = false
			err := v.read(func(snap *kv.Snapshot) error {
				k, row := snap.Cursor(kv.Meta).Seek(auditPrefix)
				more = bytes.HasPrefix(k, auditPrefix) && expired(0, row)
				return nil
			})
			if err != nil || !more {
				return err
			}
			err = v.do(0, func(tx *kv.Txn) error {
				sum, err := tx.Get(kv.Meta, metaAudited)
				if err != nil {
					return err
				}
				var left uint64
				if left, more, err = v.dropAudit(tx, decodeU64(sum), expired); err != nil {
					return err
				}
				return tx.Put(kv.Meta, metaAudited, u64(left))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// AuditLog returns a page of what operators have changed. Entries of one volume are in the
// order of their commits, those of several by their instants.
func (s *Store) AuditLog(f AuditFilter) (AuditPage, error) {
	page := AuditPage{Entries: []AuditEntry{}}
	switch {
	case f.Limit == 0:
		f.Limit = 100
	case f.Limit < 0 || f.Limit > 1000:
		return page, invalid("limit %d, want 1 to 1000", f.Limit)
	}
	below, err := auditCursor(f.Cursor, len(s.volumes))
	if err != nil {
		return page, err
	}
	parts := make([]auditPart, len(s.volumes))
	for i, v := range s.volumes {
		if err := parts[i].read(v, &f, below[i]); err != nil {
			return page, err
		}
	}
	for len(page.Entries) < f.Limit {
		p := latestOf(parts)
		if p == nil {
			break
		}
		page.Entries = append(page.Entries, p.found[0].AuditEntry)
		p.below, p.found = p.found[0].number, p.found[1:]
	}
	more := false
	for i := range parts {
		p := &parts[i]
		if more = more || p.more || len(p.found) > 0; len(p.found) == 0 {
			p.below = p.looked
		}
		below[i] = p.below
	}
	if more {
		page.Next = auditCursorOf(below)
	}
	return page, nil
}

// latestOf is the part that has the latest entry; nil if there is none, or a part may have a
// later one that was not looked at.
func latestOf(parts []auditPart) (latest *auditPart) {
	for i := range parts {
		p := &parts[i]
		switch {
		case len(p.found) > 0 && (latest == nil || p.found[0].At.After(latest.found[0].At)):
			latest = p
		case len(p.found) == 0 && p.more:
			return nil
		}
	}
	return latest
}

// auditPart is what a page has of one volume.
type auditPart struct {
	found  []auditRow // not in the page yet, the latest first
	below  uint64     // the number of the last one that is in it
	looked uint64     // the lowest number that was looked at
	more   bool       // there are some that were not
}

type auditRow struct {
	number uint64
	AuditEntry
}

// read looks for entries with a number below the one given.
func (p *auditPart) read(v *volume, f *AuditFilter, below uint64) error {
	p.below, p.looked = below, below
	return v.read(func(snap *kv.Snapshot) error {
		c := snap.Cursor(kv.Meta)
		k, row := backTo(c, auditKey(below))
		for n := 0; bytes.HasPrefix(k, auditPrefix); k, row = c.Prev() {
			if n++; n > auditLook || len(p.found) == f.Limit {
				p.more = true
				return nil
			}
			p.looked = auditNumber(k)
			e, err := decodeAudit(row)
			if err != nil {
				continue // check tells of it
			}
			if f.chooses(&e) {
				p.found = append(p.found, auditRow{p.looked, e})
			}
		}
		return nil
	})
}

// backTo moves the cursor to the last key below the one given.
func backTo(c *kv.Cursor, key []byte) (k, v []byte) {
	if k, _ := c.Seek(key); k == nil {
		return c.Last()
	}
	return c.Prev()
}

func (f *AuditFilter) chooses(e *AuditEntry) bool {
	return (f.Apps == nil || slices.Contains(f.Apps, e.App)) && (f.Operator == "" || f.Operator == e.Operator) &&
		!e.At.Before(f.Span.From) && (f.Span.Before.IsZero() || e.At.Before(f.Span.Before))
}

// A cursor is below which number each volume goes on.
func auditCursorOf(below []uint64) string {
	var b []byte
	for _, n := range below {
		b = binary.AppendUvarint(b, n)
	}
	return hex.EncodeToString(b)
}

func auditCursor(text string, volumes int) ([]uint64, error) {
	below := slices.Repeat([]uint64{1 << 63}, volumes)
	if text == "" {
		return below, nil
	}
	b, err := hex.DecodeString(text)
	for i := range below {
		n, size := binary.Uvarint(b)
		if err != nil || size <= 0 || n > 1<<63 {
			return nil, invalid("cursor %s is not one of a page before", quote(text))
		}
		below[i], b = n, b[size:]
	}
	if len(b) > 0 {
		return nil, invalid("cursor %s is not one of a page before", quote(text))
	}
	return below, nil
}

func auditKey(n uint64) []byte { return binary.BigEndian.AppendUint64(slices.Clone(auditPrefix), n) }

// auditNumber is the number in a key; of one that damage has changed 0.
func auditNumber(key []byte) uint64 { return decodeU64(key[len(auditPrefix):]) }

// auditEnd is the number of the next entry.
func auditEnd(snap *kv.Snapshot) uint64 {
	if k, _ := backTo(snap.Cursor(kv.Meta), auditKey(1<<63)); bytes.HasPrefix(k, auditPrefix) {
		return auditNumber(k) + 1
	}
	return 1
}

// encode is the row of the entry, with what is too long cut.
func (e *AuditEntry) encode() []byte {
	cut := func(text string) string {
		return strings.ToValidUTF8(text[:min(len(text), maxAuditText)], string(utf8.RuneError))
	}
	p := proto.AuditEntry{
		Version: recordVersion, AtMs: msOf(e.At), Operator: cut(e.Operator), Action: cut(e.Action), App: cut(string(e.App)), From: cut(e.From),
		Count: uint32(max(e.Count, len(e.IDs))),
	}
	for _, id := range e.IDs[:min(len(e.IDs), MaxAuditIDs)] {
		p.Ids = append(p.Ids, cut(id))
	}
	return encoded(p.MarshalVT())
}

func decodeAudit(row []byte) (AuditEntry, error) {
	var p proto.AuditEntry
	if err := unmarshal(row, &p, &p.Version); err != nil {
		return AuditEntry{}, fmt.Errorf("audit entry: %w", err)
	}
	return AuditEntry{timeOf(p.AtMs), p.Operator, p.Action, AppID(p.App), p.Ids, int(p.Count), p.From}, nil
}

// audit verifies the entries of the file, and the sum of their bytes.
func (c *volumeCheck) audit() {
	sum := uint64(0)
	for k, row := range c.all(kv.Meta) {
		if !bytes.HasPrefix(k, auditPrefix) {
			continue
		}
		sum += uint64(len(k) + len(row))
		if _, err := decodeAudit(row); err != nil {
			c.errs = append(c.errs, err)
		}
		if auditNumber(k) == 0 {
			c.bad("key %x of an audit entry", k)
		}
	}
	if said := getU64(c.snap, metaAudited); said != sum {
		c.bad("the audit entries have %d bytes, and are said to have %d", sum, said)
	}
}
