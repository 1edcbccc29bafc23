package storage

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"carillon/storage/internal/kv"
)

// maxNames bounds how many names of apps one page of a listing reads, so that a rare match
// does not make one request read all of them.
const maxNames = 10_000

// AppFilter chooses apps for a page of a listing, in the byte order of their names.
type AppFilter struct {
	Prefix   string  // of the name
	Contains string  // in the name
	Among    []AppID // only these; nil: all apps
	After    AppID   // only those behind it: AppPage.Next
	Limit    int     // of the page, at most 1,000; 0: 100
}

// Check says what is wrong with the filter, with ErrInvalid, or nil.
func (f *AppFilter) Check() error {
	if f.Limit < 0 || f.Limit > maxPage {
		return invalid("limit is %d, want 0 to %d", f.Limit, maxPage)
	}
	for _, text := range []string{f.Prefix, f.Contains, string(f.After)} {
		if len(text) > maxNameLen {
			return invalid("%s is longer than the name of any app, which has %d bytes at most", quote(text), maxNameLen)
		}
	}
	return nil
}

func (f *AppFilter) chooses(id AppID) bool {
	return id > f.After && strings.HasPrefix(string(id), f.Prefix) && strings.Contains(string(id), f.Contains)
}

// AppPage is one page of apps.
type AppPage struct {
	Apps []AppInfo // without Pauses and PoolLimits
	// Next is the AppFilter.After of the next page; "" if this is the last. A page may have
	// fewer apps than Limit, and none, although there are more.
	Next AppID
	// Missing are errors that name the volumes whose apps are left out, because they
	// cannot be read.
	Missing []error
}

// AppInfo is what the file says of an app, without opening it.
type AppInfo struct {
	ID       AppID
	Volume   int // number of its volume
	Pending  int // jobs that are pending or running
	Held     int
	Dead     int
	Finished int // jobs in the history
	Paused   bool
	ArgBytes int64 // of pending and held jobs; -1: not counted yet

	ResultBytes     int64 // of the results that Options.MaxResultBytes bounds
	CheckpointBytes int64
	Groups          int // that have not ended

	// Fault says why the counters cannot be read; "" if they can.
	Fault string

	Pauses     []Pause        // by what is paused: the app, then functions and pools by name
	PoolLimits map[string]int // those of pools that were set at run time, by pool
}

// ListApps returns one page of apps. It reads 10,000 names and as many counters as the page
// has rows at most, and opens no app. Like a query it waits for a sync that is under way.
// ErrInvalid is its only error.
func (s *Store) ListApps(f AppFilter) (page AppPage, err error) {
	if err := f.Check(); err != nil {
		return page, err
	}
	if f.Limit == 0 {
		f.Limit = defaultPage
	}
	found, looked := s.findApps(&f, &page)
	slices.SortFunc(found, func(a, b foundApp) int { return strings.Compare(string(a.id), string(b.id)) })
	if looked != "" {
		page.Next = looked
		found = slices.DeleteFunc(found, func(a foundApp) bool { return a.id > looked })
	}
	if len(found) > f.Limit {
		found = found[:f.Limit]
		page.Next = found[f.Limit-1].id
	}
	page.Apps = make([]AppInfo, len(found))
	for i, v := range s.volumes {
		err := v.read(func(snap *kv.Snapshot) error {
			for at, a := range found {
				if a.volume == i {
					page.Apps[at] = a.info(snap)
				}
			}
			return nil
		})
		if err != nil {
			for at, a := range found {
				if a.volume == i {
					page.Apps[at] = AppInfo{ID: a.id, Volume: i, Fault: err.Error()}
				}
			}
		}
	}
	return page, nil
}

// foundApp is where the counters of an app are.
type foundApp struct {
	id     AppID
	volume int
	number keyspace
	err    error
}

// findApps finds apps for the page, more than it wants perhaps, and all up to looked, which
// is "" if there are no more names.
func (s *Store) findApps(f *AppFilter, page *AppPage) (found []foundApp, looked AppID) {
	until := func(id AppID) { // it looks no further
		if looked == "" || id < looked {
			looked = id
		}
	}
	if f.Among != nil {
		return s.findAmong(f, page)
	}
	share := max(maxNames/len(s.volumes), 1)
	for i, v := range s.volumes {
		err := v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Apps)
			matches, examined := 0, 0
			from := max(f.Prefix, string(f.After))
			for k, entry := c.Seek([]byte(from)); k != nil && bytes.HasPrefix(k, []byte(f.Prefix)); k, entry = c.Next() {
				if matches > f.Limit || examined == share {
					until(AppID(from))
					return nil
				}
				examined++
				if from = string(k); f.chooses(AppID(from)) {
					matches++
					found = append(found, foundAt(AppID(from), i, entry))
				}
			}
			return nil
		})
		if err != nil {
			page.Missing = append(page.Missing, fmt.Errorf("%s: %w", v.name, err))
		}
	}
	return found, looked
}

// findAmong is findApps of the names that the filter gives.
func (s *Store) findAmong(f *AppFilter, page *AppPage) (found []foundApp, looked AppID) {
	names := slices.Clone(f.Among)
	slices.Sort(names)
	examined := 0
	for _, id := range slices.Compact(names) {
		if !f.chooses(id) || id.Check() != nil {
			continue
		}
		if len(found) > f.Limit || examined == maxNames {
			return found, looked
		}
		examined++
		looked = id
		vol, err := s.find(id)
		if err == nil {
			err = vol.read(func(snap *kv.Snapshot) error {
				if entry := snap.Get(kv.Apps, []byte(id)); entry != nil {
					found = append(found, foundAt(id, vol.index, entry))
				}
				return nil
			})
		}
		if err != nil && !slices.ContainsFunc(page.Missing, func(e error) bool { return e.Error() == err.Error() }) {
			page.Missing = append(page.Missing, err)
		}
	}
	return found, ""
}

func foundAt(id AppID, volume int, entry []byte) foundApp {
	a := foundApp{id: id, volume: volume}
	if a.err = damageOf(entry); a.err == nil {
		a.number, a.err = decodeEntry(bytes.Clone(entry))
	}
	return a
}

// info reads the counters.
func (a *foundApp) info(snap *kv.Snapshot) AppInfo {
	info := AppInfo{ID: a.id, Volume: a.volume}
	c, err := counts{}, a.err
	if err == nil {
		c, err = decodeCounts(snap.Get(kv.Data, a.number.prefix(tagMeta)))
	}
	if err != nil {
		info.Fault = err.Error()
		return info
	}
	info.Pending, info.Held, info.Dead, info.Finished = int(c.pending), int(c.held), int(c.dead), int(c.done)
	info.Paused, info.ArgBytes, info.ResultBytes, info.CheckpointBytes = c.paused, c.argBytes, int64(c.results), int64(c.saved)
	info.Groups = int(c.groups)
	return info
}

// AppInfo returns what the file says of the app, without opening it; there is false if it
// does not exist. Like a query it waits for a sync that is under way.
func (s *Store) AppInfo(id AppID) (info AppInfo, there bool, err error) {
	if err := id.Check(); err != nil {
		return AppInfo{}, false, err
	}
	vol, err := s.find(id)
	if err != nil {
		return AppInfo{}, false, err
	}
	err = vol.read(func(snap *kv.Snapshot) error {
		entry := snap.Get(kv.Apps, []byte(id))
		if entry == nil {
			return nil
		}
		found := foundAt(id, vol.index, entry)
		info, there = found.info(snap), true
		if info.Fault != "" {
			return nil
		}
		a := &App{id: id, keys: found.number}
		c, err := decodeCounts(snap.Get(kv.Data, a.keys.prefix(tagMeta)))
		if err != nil {
			return err
		}
		a.loadControls(snap, c)
		if all := a.Controls(); all != nil {
			info.PoolLimits = all.Limits
			info.Pauses = slices.SortedFunc(maps.Values(all.Pauses), func(p, q Pause) int {
				return bytes.Compare(a.keys.pause(p.Of), a.keys.pause(q.Of))
			})
		}
		return nil
	})
	return info, there && err == nil, err
}

// Create has the app come into being with the transaction, though it may write nothing else.
func (tx *Tx) Create() error {
	if err := tx.lock(0); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	if tx.app.stored {
		return fmt.Errorf("%w: there is an app %s", ErrExists, tx.app.id)
	}
	tx.put(tx.app.keys.prefix(tagMeta), tx.top().counts.encode())
	return nil
}
