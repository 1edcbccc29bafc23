package storage

import "time"

// slowReplay is how long the log is read before it is told of, and how often then.
var slowReplay = time.Second

// replaying returns what is told of each record of a volume that an opening reads of the log,
// and tells of some.
func (o Options) replaying(volume string) func(done, total int) {
	if o.told == nil {
		return nil
	}
	return func(done, total int) {
		now := time.Now()
		if now.Sub(*o.told) < slowReplay {
			return
		}
		if *o.told = now; o.Progress != nil {
			o.Progress(volume, done, total)
			return
		}
		o.Logger.Info("reading what a file lacks from the log", "volume", volume, "records", done, "total", total)
	}
}
