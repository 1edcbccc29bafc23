package actors

import (
	"carillon/dispatch"
	"carillon/storage"
)

// remoteCrons are the triggers of an app outside of a transaction: each call is
// one of its own.
type remoteCrons struct{ *remoteScheduler }

var _ dispatch.Crons = remoteCrons{}

// Crons implements dispatch.Scheduler.
func (s *remoteScheduler) Crons() dispatch.Crons { return remoteCrons{s} }

// change runs fn on the triggers in a transaction of its own.
func (c remoteCrons) change(fn func(dispatch.Crons) error) error {
	return c.eng.changeApp(c.ctx, c.app, c.from, func(app *appState, tx *storage.Tx) error {
		return fn(&txCrons{eng: c.eng, planner: app.planner, w: tx.JobWriter(), now: tx.Now()})
	})
}

// Create implements dispatch.Crons. The trigger is durable when it returns.
func (c remoteCrons) Create(def dispatch.Trigger) error {
	return c.change(func(crons dispatch.Crons) error { return crons.Create(def) })
}

// Update implements dispatch.Crons. The change is durable when it returns.
func (c remoteCrons) Update(def dispatch.Trigger) error {
	return c.change(func(crons dispatch.Crons) error { return crons.Update(def) })
}

// Put implements dispatch.Crons. The trigger is durable when it returns.
func (c remoteCrons) Put(def dispatch.Trigger) (bool, error) {
	var created bool // the actor's, until it answers
	err := c.change(func(crons dispatch.Crons) (err error) {
		created, err = crons.Put(def)
		return err
	})
	if err != nil {
		return false, err
	}
	return created, nil
}

// Delete implements dispatch.Crons. It is durable when it returns.
func (c remoteCrons) Delete(name string) error {
	return c.change(func(crons dispatch.Crons) error { return crons.Delete(name) })
}

// Pause implements dispatch.Crons. It is durable when it returns.
func (c remoteCrons) Pause(name, reason string) error {
	return c.change(func(crons dispatch.Crons) error { return crons.Pause(name, reason) })
}

// Resume implements dispatch.Crons. It is durable when it returns.
func (c remoteCrons) Resume(name string) error {
	return c.change(func(crons dispatch.Crons) error { return crons.Resume(name) })
}

// RunNow implements dispatch.Crons. The job is durable when it returns.
func (c remoteCrons) RunNow(name string) (storage.JobID, error) {
	var id storage.JobID // the actor's, until it answers
	err := c.change(func(crons dispatch.Crons) (err error) {
		id, err = crons.RunNow(name)
		return err
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// Backfill implements dispatch.Crons. It is durable when it returns.
func (c remoteCrons) Backfill(name string, of dispatch.Backfill) (storage.Backfill, error) {
	var b storage.Backfill // the actor's, until it answers
	err := c.change(func(crons dispatch.Crons) (err error) {
		b, err = crons.Backfill(name, of)
		return err
	})
	if err != nil {
		return storage.Backfill{}, err
	}
	return b, nil
}

// CancelBackfill implements dispatch.Crons. It is durable when it returns.
func (c remoteCrons) CancelBackfill(name string) (bool, error) {
	var canceled bool // the actor's, until it answers
	err := c.change(func(crons dispatch.Crons) (err error) {
		canceled, err = crons.CancelBackfill(name)
		return err
	})
	return canceled && err == nil, err
}

// Get implements dispatch.Crons. It reads committed state.
func (c remoteCrons) Get(name string) (info dispatch.CronInfo, ok bool, err error) {
	err = c.eng.read(c.ctx, c.app, c.from, func(r storage.Reader) (err error) {
		info, ok, err = c.eng.cronInfo(c.app, r, name)
		return err
	})
	return info, ok && err == nil, err
}

// List implements dispatch.Crons. It reads committed state.
func (c remoteCrons) List() (infos []dispatch.CronInfo, err error) {
	err = c.eng.read(c.ctx, c.app, c.from, func(r storage.Reader) (err error) {
		infos, err = c.eng.cronInfos(c.app, r)
		return err
	})
	return infos, err
}

// Slots implements dispatch.Crons. It reads committed state.
func (c remoteCrons) Slots(name string, limit int) (slots []storage.Slot, err error) {
	err = c.eng.read(c.ctx, c.app, c.from, func(r storage.Reader) (err error) {
		slots, err = cronSlots(r, name, limit)
		return err
	})
	return slots, err
}
