package actors

import "carillon/storage"

// stretches are what a walk has passed by behind a job that it keeps: only jobs that wait
// elsewhere, for the end of a pause, in the lane of their pool, in the walk of their priority,
// or to expire. The next walk, which begins at the kept job, does not read them again.
// What has the jobs from a place on looked at again forgets what lies behind it. There are
// few; what finds no room is read again.
type stretches []stretch

type stretch struct{ from, to storage.Place } // of the first job, and behind the last one

// maxStretches bounds how many a walk remembers.
const maxStretches = 64

// add remembers a stretch, and joins it with those that it touches.
func (s *stretches) add(n stretch) {
	list := make(stretches, 0, len(*s)+1)
	for _, x := range *s {
		if x.to.Less(n.from) || n.to.Less(x.from) {
			list = append(list, x)
			continue
		}
		if x.from.Less(n.from) {
			n.from = x.from
		}
		if n.to.Less(x.to) {
			n.to = x.to
		}
	}
	if len(list) < maxStretches {
		*s = append(list, n)
	}
}

// skip is where to read on: behind the stretch in which the place lies, if it does.
func (s stretches) skip(p storage.Place) storage.Place {
	for _, x := range s {
		if !p.Less(x.from) && p.Less(x.to) {
			return x.to
		}
	}
	return p
}

// end is where the last of them ends.
func (s stretches) end() (end storage.Place) {
	for _, x := range s {
		if end.Less(x.to) {
			end = x.to
		}
	}
	return end
}

// forget has what lies from the place on read again.
func (s *stretches) forget(p storage.Place) {
	list := (*s)[:0]
	for _, x := range *s {
		if p.Less(x.to) {
			x.to = p
		}
		if x.from.Less(x.to) {
			list = append(list, x)
		}
	}
	*s = list
}

// leave forgets those that lie before the place: the walk has left them behind.
func (s *stretches) leave(p storage.Place) {
	list := (*s)[:0]
	for _, x := range *s {
		if p.Less(x.to) {
			list = append(list, x)
		}
	}
	if *s = list; len(list) == 0 {
		*s = nil
	}
}
