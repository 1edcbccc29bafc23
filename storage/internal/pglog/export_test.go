package pglog

import "time"

// SetAnswerTimeout has statements that begin from now on be given up after that long.
func (l *Log) SetAnswerTimeout(d time.Duration) { l.opts.AnswerTimeout = d }

// SeeTimelines has the log see a server that is so many timelines later, as one is that was promoted beside
// the one it is connected to.
func (l *Log) SeeTimelines(more int) {
	l.seeing.Lock()
	defer l.seeing.Unlock()
	l.seen.timeline += more
	l.latest.Store(int64(l.seen.timeline))
}
