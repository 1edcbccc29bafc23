package storage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// Bounds of tokens.
const (
	MaxTokens     = 1000 // of a store
	MaxTokenApps  = 1000 // that one names
	maxTokenNames = 64   // scopes of one, and bytes of a name
)

// Token is what a store keeps of a token that lets an operator in. What the operator shows
// is not kept, only its hash. The meaning of name and scopes is the server's.
type Token struct {
	ID        string // which one it is, 1 to 64 of a-z 0-9; no secret
	Name      string // of the operator; at most 64 bytes
	Apps      []AppID
	AllApps   bool
	Scopes    []string
	Hash      [sha256.Size]byte // of the secret
	CreatedAt time.Time
	ExpiresAt time.Time // from then on it is good for nothing; zero: never
}

// Tokens are the tokens of a store. They are not of an app: an export has none, a backup has
// all as of its moment.
type Tokens struct {
	store *Store
	by    *AuditEntry // nil: its changes have no entry
}

// Tokens returns the tokens of the store.
func (s *Store) Tokens() Tokens { return Tokens{store: s} }

// By returns the tokens for an operator: each change of one has the entry in its commit, with the
// token's id.
func (t Tokens) By(e AuditEntry) Tokens {
	t.by = &e
	return t
}

// note writes the entry about a token.
func (t Tokens) note(tx *kv.Txn, id string) error {
	if t.by == nil {
		return nil
	}
	e := *t.by
	e.IDs = []string{id}
	return t.store.volumes[0].auditAll(tx, []AuditEntry{e})
}

// tokenBook is what the store knows of its tokens, so that they can be asked for with every
// request, and when volume 0 is down.
type tokenBook struct {
	mu   sync.Mutex
	byID map[string]Token // nil: it has to be read

	session []byte // the key of sessions; nil: it has to be read
}

// tokenPrefix begins the key of a token in the Meta space of volume 0.
var tokenPrefix = []byte("token-")

func tokenKey(id string) []byte { return append(slices.Clone(tokenPrefix), id...) }

// Add adds a token, durably when it returns. Instants are kept to the millisecond. Errors:
// ErrInvalid, ErrExists for an id that there is, ErrLimit for one more than MaxTokens, or
// that of the commit, which may then have happened.
func (t Tokens) Add(token Token) error {
	if err := token.check(); err != nil {
		return err
	}
	return t.change(func(byID map[string]Token) error {
		if _, there := byID[token.ID]; there {
			return fmt.Errorf("%w: token %s", ErrExists, quote(token.ID))
		}
		if len(byID) >= MaxTokens {
			return fmt.Errorf("%w: there are %d tokens, which is the limit: revoke one", ErrLimit, len(byID))
		}
		row := token.encode()
		err := t.store.volumes[0].do(0, func(tx *kv.Txn) error {
			return errors.Join(tx.Put(kv.Meta, tokenKey(token.ID), row), t.note(tx, token.ID))
		})
		if err != nil {
			return err
		}
		byID[token.ID], err = decodeToken(tokenKey(token.ID), row)
		return err
	})
}

// Remove takes a token away, durably when it returns; known says whether there was one. It
// takes one away that is damaged, too.
func (t Tokens) Remove(id string) (known bool, err error) {
	err = t.change(func(byID map[string]Token) error {
		delete(byID, id)
		return t.store.volumes[0].do(0, func(tx *kv.Txn) error {
			row, err := tx.Get(kv.Meta, tokenKey(id))
			if known = row != nil; !known || err != nil {
				return err
			}
			return errors.Join(tx.Delete(kv.Meta, tokenKey(id)), t.note(tx, id))
		})
	})
	return known, err
}

// Get returns the token with the id. It does not read the disk, but for the first time.
func (t Tokens) Get(id string) (token Token, known bool, err error) {
	err = t.store.book.with(t.store, func(byID map[string]Token) { token, known = byID[id] })
	return token, known, err
}

// List returns all tokens, those made first at first.
func (t Tokens) List() (all []Token, err error) {
	err = t.store.book.with(t.store, func(byID map[string]Token) {
		for _, token := range byID {
			all = append(all, token)
		}
	})
	slices.SortFunc(all, func(a, b Token) int {
		if n := a.CreatedAt.Compare(b.CreatedAt); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, err
}

// change commits what write does, one at a time. After an error, which may be of a commit that
// has happened, the tokens are read again.
func (t Tokens) change(write func(byID map[string]Token) error) (err error) {
	book := &t.store.book
	fault := book.with(t.store, func(byID map[string]Token) {
		if err = write(byID); err != nil {
			book.byID = nil
		}
	})
	return errors.Join(fault, err)
}

// with calls fn with the tokens, one call at a time.
func (b *tokenBook) with(s *Store, fn func(map[string]Token)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID == nil {
		byID := map[string]Token{}
		err := s.volumes[0].read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Meta)
			for k, v := c.Seek(tokenPrefix); bytes.HasPrefix(k, tokenPrefix); k, v = c.Next() {
				token, err := decodeToken(k, v)
				if err != nil {
					continue // it lets no one in, and check tells of it
				}
				byID[token.ID] = token
			}
			return nil
		})
		if err != nil {
			return err
		}
		b.byID = byID
	}
	fn(b.byID)
	return nil
}

// check says what is wrong with a token.
func (t *Token) check() error {
	long := func(s string) bool { return len(s) > maxTokenNames }
	switch {
	case t.ID == "" || long(t.ID) || strings.Trim(t.ID, "abcdefghijklmnopqrstuvwxyz0123456789") != "":
		return invalid("the id of a token is %s, want 1 to %d of a-z 0-9", quote(t.ID), maxTokenNames)
	case t.Name == "" || long(t.Name) || strings.ContainsFunc(t.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return invalid("the name of a token is %s, want 1 to %d bytes of text", quote(t.Name), maxTokenNames)
	case len(t.Apps) > MaxTokenApps:
		return invalid("a token names %d apps, want at most %d", len(t.Apps), MaxTokenApps)
	case len(t.Scopes) > maxTokenNames || slices.ContainsFunc(t.Scopes, long):
		return invalid("a token has %d scopes, want at most %d of %d bytes", len(t.Scopes), maxTokenNames, maxTokenNames)
	case t.Hash == [sha256.Size]byte{}:
		return invalid("a token has no hash")
	}
	for _, app := range t.Apps {
		if err := app.Check(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Token) encode() []byte {
	p := proto.Token{
		Version: recordVersion, Name: t.Name, AllApps: t.AllApps, Scopes: t.Scopes, Hash: t.Hash[:],
		CreatedMs: msOf(t.CreatedAt), ExpiresMs: msOf(t.ExpiresAt),
	}
	for _, app := range t.Apps {
		p.Apps = append(p.Apps, string(app))
	}
	return encoded(p.MarshalVT())
}

func decodeToken(key, data []byte) (t Token, err error) {
	var p proto.Token
	t.ID = string(bytes.TrimPrefix(key, tokenPrefix))
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return t, fmt.Errorf("token %s: %w", quote(t.ID), err)
	}
	t.Name, t.AllApps, t.Scopes = p.Name, p.AllApps, p.Scopes
	t.CreatedAt, t.ExpiresAt = timeOf(p.CreatedMs), timeOf(p.ExpiresMs)
	for _, app := range p.Apps {
		t.Apps = append(t.Apps, AppID(app))
	}
	if copy(t.Hash[:], p.Hash) != len(p.Hash) || len(p.Hash) != len(t.Hash) {
		return t, fmt.Errorf("token %s: %w: its hash has %d bytes", quote(t.ID), ErrCorrupt, len(p.Hash))
	}
	if err := t.check(); err != nil {
		return t, fmt.Errorf("token %s: %w: %w", quote(t.ID), ErrCorrupt, err)
	}
	return t, nil
}

// tokens verifies those of the file, which only that of volume 0 has.
func (c *volumeCheck) tokens() {
	for k, v := range c.all(kv.Meta) {
		if !bytes.HasPrefix(k, tokenPrefix) {
			continue
		}
		if _, err := decodeToken(k, v); err != nil {
			c.errs = append(c.errs, err)
		}
		if c.v.index != 0 {
			c.bad("token %s is not in volume 0", quote(string(k[len(tokenPrefix):])))
		}
	}
}
