package storage

import (
	"cmp"
	"slices"
	"strings"

	"carillon/storage/internal/kv"
)

// Survey is a Depth, with the apps that stand out. For engines.
type Survey struct {
	Depth
	Busy     []AppInfo // those with the most pending jobs, the most first
	Troubled []AppInfo // those that cannot be read, then those with the most dead and held jobs
	Paused   []AppInfo // by name
}

// Survey adds the counters of all apps up, which it reads, and says which stand out, up to most of
// each kind: with many apps that takes a while, a few microseconds for each. It opens no app.
func (s *Store) Survey(most int) (sv Survey) {
	busy, troubled, paused := standing{most: most, before: busier}, standing{most: most, before: worse}, standing{most: most, before: byName}
	for i, v := range s.volumes {
		err := v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Apps)
			for k, entry := c.First(); k != nil; k, entry = c.Next() {
				at := foundAt(AppID(k), i, entry)
				info := at.info(snap)
				sv.add(&info)
				if info.Pending > 0 {
					busy.add(&info)
				}
				if info.Troubled() {
					troubled.add(&info)
				}
				if info.Paused {
					paused.add(&info)
				}
			}
			return nil
		})
		if err != nil {
			sv.Unreadable++
		}
	}
	sv.Busy, sv.Troubled, sv.Paused = busy.apps, troubled.apps, paused.apps
	return sv
}

func (d *Depth) add(a *AppInfo) {
	d.Apps++
	if a.Fault != "" {
		d.Unreadable++
	}
	d.Pending, d.Held, d.Dead = d.Pending+a.Pending, d.Held+a.Held, d.Dead+a.Dead
	d.History, d.Groups = d.History+a.Finished, d.Groups+a.Groups
}

// Troubled says whether the app has dead or held jobs, or cannot be read.
func (a *AppInfo) Troubled() bool { return a.Dead+a.Held > 0 || a.Fault != "" }

// standing is the first apps in an order, of those that were added.
type standing struct {
	most   int
	before func(a, b *AppInfo) int
	apps   []AppInfo // in that order
}

func (s *standing) add(a *AppInfo) {
	if len(s.apps) >= s.most && (s.most == 0 || s.before(a, &s.apps[len(s.apps)-1]) > 0) {
		return
	}
	at, _ := slices.BinarySearchFunc(s.apps, a, func(in AppInfo, a *AppInfo) int { return s.before(&in, a) })
	s.apps = slices.Insert(s.apps, at, *a)
	s.apps = s.apps[:min(len(s.apps), s.most)]
}

func byName(a, b *AppInfo) int { return strings.Compare(string(a.ID), string(b.ID)) }

func busier(a, b *AppInfo) int { return cmp.Or(cmp.Compare(b.Pending, a.Pending), byName(a, b)) }

func worse(a, b *AppInfo) int {
	unreadable := func(a *AppInfo) int { return min(len(a.Fault), 1) }
	return cmp.Or(cmp.Compare(unreadable(b), unreadable(a)), cmp.Compare(b.Dead+b.Held, a.Dead+a.Held), byName(a, b))
}
