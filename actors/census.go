package actors

import (
	"carillon/dispatch"
	"carillon/storage"
)

// census counts apps for Options.MaxApps: those that exist, and those that are live
// and do not, each of which may come into being at any time. So there are never
// more than may be, and one that exists is never refused. It belongs to the directory.
type census struct {
	eng  *Engine
	most int // 0: any number, and nothing is counted
	n    int
}

// errTooManyApps refuses an app that does not exist.
var errTooManyApps = dispatch.Errorf(dispatch.CodeResourceExhausted, "there are as many apps as there may be; this one does not exist")

// begin counts the apps of the store, as far as they can be read.
func (c *census) begin() (err error) {
	if c.most > 0 {
		c.n, err = c.eng.store.CountApps()
	}
	return err
}

// add counts one more, and refuses it where there are as many as there may be;
// whatever makes it count regardless.
func (c *census) add(whatever bool) error {
	if c.most > 0 && c.n >= c.most && !whatever {
		return errTooManyApps
	}
	c.n++
	return nil
}

// exists says whether the app does. One that cannot be read is taken to, also where
// that is a panic, for which nothing that waits for the directory need wait.
func (c *census) exists(id storage.AppID) (there bool) {
	if c.most == 0 {
		return false
	}
	there = true
	_ = c.eng.guard("directory", id, func() { there = c.eng.store.Free(id) != nil })
	return there
}

// stopped takes note that an app is not live any more which did not exist when it
// was spawned.
func (c *census) stopped(id storage.AppID) {
	if !c.exists(id) {
		c.n--
	}
}

// held takes note that an app is held, perhaps for one to be made of it.
func (c *census) held(m *holdApp) {
	m.existed = c.exists(m.id)
	if m.makes && !m.existed {
		m.err = c.add(false)
		m.counted = m.err == nil
	}
}

// released takes note of what became of an app that was held.
func (c *census) released(m *holdApp) {
	was, is := m.existed || m.counted, c.exists(m.id)
	switch {
	case was && !is:
		c.n--
	case is && !was:
		c.n++
	}
}
