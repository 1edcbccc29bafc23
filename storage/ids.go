package storage

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"
)

// AppID names one app (a tenant). It is 1 to 64 bytes of letters, digits, '_',
// '-' and '.', and does not begin with '-' or '.'. It never becomes a file name.
type AppID string

// JobID names one job of one app. Minted ids are 25 characters and sort by the
// instant first asked for; a caller-chosen id matches
// ^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$.
type JobID string

// ID names one document of a table whose documents are of type T, so that ids
// of two tables do not mix. It sorts in the order of insertion within its app.
type ID[T any] string

// maxNameLen bounds app ids and caller-chosen job ids, in bytes.
const maxNameLen = 64

// Check says whether the id may name an app.
func (id AppID) Check() error {
	if !nameOK(string(id), "_-.") || strings.HasPrefix(string(id), "-") || strings.HasPrefix(string(id), ".") {
		return fmt.Errorf("%w: app id %s: want 1 to 64 letters, digits, _, - and ., beginning with a letter, digit or _", ErrInvalid, quote(string(id)))
	}
	return nil
}

// Check says whether a caller may choose the id for a job.
func (id JobID) Check() error {
	if !nameOK(string(id), "_-") || strings.HasPrefix(string(id), "-") {
		return fmt.Errorf("%w: job id %s: want 1 to 64 letters, digits, _ and -, beginning with a letter, digit or _", ErrInvalid, quote(string(id)))
	}
	return nil
}

func nameOK(s, extra string) bool {
	if len(s) == 0 || len(s) > maxNameLen {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}

// quote renders a name for an error message and keeps a hostile one short.
func quote(s string) string {
	if len(s) > maxNameLen {
		n := maxNameLen
		for n > maxNameLen-utf8.UTFMax && !utf8.RuneStart(s[n]) { // a character is not cut through
			n--
		}
		s = s[:n] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// sortable is base32 with an alphabet in byte order, so that encoded ids sort
// like the bytes they stand for.
var sortable = base32.HexEncoding.WithPadding(base32.NoPadding)

// place is where a job lies inside a region: the instant it is sorted by and
// its sequence number. Both regions of ended jobs and the sorted job bucket
// share the form.
type place struct {
	ms  int64 // milliseconds since 1970, 0 to maxPlaceMs
	seq uint64
}

// placeLen is the length of an encoded place.
const placeLen = 16

// next is the first place behind p.
func (p place) next() place { return place{p.ms, p.seq + 1} }

func (p place) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(p.ms))
	return binary.BigEndian.AppendUint64(b, p.seq)
}

// decodePlace reads an encoded place. Of one that damage has made shorter it reads what is
// left: what lies there does not match its checksum, and is damage.
func decodePlace(b []byte) place {
	var whole [placeLen]byte
	copy(whole[:], b)
	p := place{ms: int64(binary.BigEndian.Uint64(whole[:])), seq: binary.BigEndian.Uint64(whole[8:])}
	return p
}

func (p place) less(q place) bool {
	return p.ms < q.ms || p.ms == q.ms && p.seq < q.seq
}

// maxInstantMs is the latest instant that is written down, in milliseconds: the
// end of the year 9999, which is the last that RFC 3339, and so JSON, has.
// maxPlaceMs keeps ids and keys at a fixed width; earlier releases let jobs be due
// up to then, and such jobs are still found and shown as due at maxInstantMs.
const (
	maxInstantMs = 253_402_300_799_999
	maxPlaceMs   = 999_999_999_999_999
)

// MaxInstant is the latest instant a job can be due at: the last millisecond of the
// year 9999, UTC.
var MaxInstant = time.UnixMilli(maxInstantMs).UTC()

// mintedPrefix opens every minted job id. With the 24 characters that follow
// it makes 25, a length no common id format of callers has.
const mintedPrefix = "j"

// mintJobID spells a place as an id: the id of a job that never moved *is* its
// key, so that finding it needs no index.
func mintJobID(p place) JobID {
	var raw [15]byte
	var due [8]byte
	binary.BigEndian.PutUint64(due[:], uint64(p.ms))
	copy(raw[:7], due[1:])
	binary.BigEndian.PutUint64(raw[7:], p.seq)
	var text [25]byte
	text[0] = mintedPrefix[0]
	for i, c := range sortable.AppendEncode(text[1:1], raw[:]) {
		if c >= 'A' && c <= 'V' {
			c += 'a' - 'A'
		}
		text[1+i] = c
	}
	return JobID(text[:])
}

// home is the place a minted id spells; ok is false for any other id.
func (id JobID) home() (p place, ok bool) {
	if len(id) != 25 || id[0] != mintedPrefix[0] {
		return place{}, false
	}
	var ms, seq uint64 // 5 bits a character
	for _, c := range []byte(id[1:]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'v':
			c -= 'a' - 10
		default:
			return place{}, false
		}
		ms, seq = ms<<5|seq>>59, seq<<5|uint64(c)
	}
	p = place{ms: int64(ms), seq: seq}
	return p, p.ms <= maxPlaceMs
}

// documentIDLen is the length of a document id in characters.
const documentIDLen = 24

// mintDocumentID makes a document id: the sequence number first, so that ids
// ascend, then the table's tag, then 56 random bits, so that ids cannot be guessed.
func mintDocumentID(table string, seq uint64) string {
	var raw [15]byte
	var s, random [8]byte
	binary.BigEndian.PutUint64(s[:], seq)
	copy(raw[:6], s[2:])
	binary.BigEndian.PutUint16(raw[6:], tableTag(table))
	binary.BigEndian.PutUint64(random[:], rand.Uint64())
	copy(raw[8:], random[1:])
	return strings.ToLower(sortable.EncodeToString(raw[:]))
}

// checkDocumentID refuses what was never minted for the table.
func checkDocumentID(table, id string) error {
	var raw [15]byte
	if len(id) == documentIDLen && id == strings.ToLower(id) {
		if n, err := sortable.Decode(raw[:], []byte(strings.ToUpper(id))); err == nil && n == len(raw) {
			if binary.BigEndian.Uint16(raw[6:]) == tableTag(table) {
				return nil
			}
			return fmt.Errorf("%w: id %s belongs to another table than %s", ErrInvalid, quote(id), table)
		}
	}
	return fmt.Errorf("%w: %s is not an id of table %s", ErrInvalid, quote(id), table)
}

// tableTag is a short mark of the table inside its ids.
func tableTag(table string) uint16 {
	h := fnv.New32a()
	h.Write([]byte(table))
	sum := h.Sum32()
	return uint16(sum>>16) ^ uint16(sum)
}
