package actors

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"iter"
	"time"

	"carillon/dispatch"
	"carillon/internal/inturn"
	"carillon/storage"
)

// LiveQuery is a query whose result a Live keeps up to date.
type LiveQuery struct {
	ID   uint64 // chosen by the caller, one of its kind in the Live
	Path string
	Args json.RawMessage // absent and null count as {}
	// Seen is the Sum of the result that the caller has of this query, from another Live, at another node, too: while the
	// query comes to that it is not told again. The zero value is that of none.
	Seen LiveSum
}

// LiveSum tells what a query has come to from anything else that it may.
type LiveSum [sha256.Size]byte

// LiveResult is what a query has come to: a value, or the error of the query, which is a result
// like any other and changes when what the query has read does.
type LiveResult struct {
	ID    uint64 // of the LiveQuery
	Value json.RawMessage
	Err   error // an *dispatch.Error
	Sum   LiveSum
}

// Transition is what has changed of the results of a Live.
type Transition struct {
	// Commit is the commit as of which all results are, those that have not changed, too. It
	// never goes back, in later processes neither, as long as the app is the same one: an app
	// that was deleted, imported or restored may begin lower.
	Commit uint64
	// Version is the latest modification (Live.Change, Live.SetIdentity) that is in.
	Version uint64
	// Changed are those results that differ from what the Live has given out before, by ID.
	Changed []LiveResult
}

// Live is a set of queries of one app, of one identity, whose results are kept up to date for
// one client. All results of a Transition are of one snapshot. Its methods may be called from
// any goroutine, Next from one at a time. It must be closed.
type Live struct {
	room *liveRoom
	wake chan struct{}

	// Below: guarded by room.mu.
	lane     *liveLane
	from     uint64    // the round of the lane that is the first to have it, 0 since it was
	stays    time.Time // in the slow lane until then at least
	identity *dispatch.Identity
	who      string // the same, as a part of keys
	subs     map[uint64]*liveSub
	changed  map[*liveSub]struct{} // whose result may not be what was given out
	wanted   uint64                // Await
	version  uint64                // of the latest modification
	changing uint64                // of that which the round under way has
	covered  uint64                // of that which the latest round had
	changes  uint64                // of the latest change of identity
	after    uint64                // After
	told     Transition            // the latest that was given out, without Changed
	err      error                 // why it is over
}

// Live begins a set of live queries, for a client: queries that are internal are unknown to it, as
// they are to Call. identity is as whom they run; nil is anonymous. What is wrong is said by the
// first Change or Next.
func (a *App) Live(identity *dispatch.Identity) *Live { return a.live(identity, dispatch.OriginClient) }

func (a *App) live(identity *dispatch.Identity, origin dispatch.Origin) *Live {
	l := &Live{wake: make(chan struct{}, 1), subs: map[uint64]*liveSub{}, changed: map[*liveSub]struct{}{}}
	l.identity, l.err = identity.Normalize()
	l.who = liveWho(l.identity)
	a.eng.lives.join(a, l, origin)
	return l
}

// Change removes queries and adds others, all at once: the Transition with the version that it
// returns has the results of those that are left, all of one snapshot. An id that is removed and
// is not there is passed over. After an error nothing has changed: invalid_argument for an id
// that is taken, resource_exhausted at one of the limits (Options.MaxSubscriptions,
// MaxAppSubscriptions, MaxSubscriptionBytes), or that of Next if the Live is over. It does not
// wait for the results, nor look at path and arguments: what is wrong with them is the result.
func (l *Live) Change(add []LiveQuery, remove []uint64) (version uint64, err error) {
	return l.room.change(l, add, remove)
}

// SetIdentity has the queries run as another identity; nil is anonymous. Once it has returned,
// Next gives out no result that was made for the one before, and nothing until all queries have
// been run anew.
func (l *Live) SetIdentity(identity *dispatch.Identity) (version uint64, err error) {
	identity, err = identity.Normalize()
	if err != nil {
		return 0, err
	}
	return l.room.setIdentity(l, identity)
}

// Await has Next return a Transition when the results are as of the commit, or of a later one,
// also if none has changed: when a mutation's effects are seen (TellCommit).
func (l *Live) Await(commit uint64) { l.room.await(l, commit) }

// After has Next return nothing as of a commit before that one, which another Live has told before, at another node that
// shares the log, too. Next returns aborted if the app is not as far, since it was deleted, imported or restored, or
// since the log has lost that: forget what was shown, and begin another Live without After. Call it before the first Next.
func (l *Live) After(commit uint64) { l.room.after(l, commit) }

// Next waits until there is something to tell: results that have changed, a modification that is
// in, or a commit that was awaited. What has changed several times since the last call is told
// once, as it is now. The error is that of ctx, failed_precondition inside a mutation of the app,
// or that with which the Live is over: not_found when the app was deleted, aborted when it
// was imported, or of After, unavailable when the engine closes, canceled after Close.
func (l *Live) Next(ctx context.Context) (Transition, error) {
	if inturn.In(ctx, string(l.room.app.id)) {
		return Transition{}, &dispatch.Error{
			Code: dispatch.CodeFailedPrecondition, Err: storage.ErrReentrant,
			Message: "called from inside a mutation of the same app, which keeps its data from changing",
		}
	}
	lapse := &l.room.app.eng.lapse
	for {
		t, ok, err := l.room.take(l)
		if lapsed := lapse.held(); lapsed != nil {
			return Transition{}, lapsed
		}
		if ok || err != nil {
			return t, err
		}
		select {
		case <-l.wake:
		case <-lapse.lost:
			return Transition{}, lapse.gone()
		case <-ctx.Done():
			return Transition{}, contextError(ctx, "")
		}
	}
}

// Close ends the Live. A second Close does nothing.
func (l *Live) Close() {
	l.room.lives.leave(l, dispatch.Errorf(dispatch.CodeCanceled, "the live queries were closed"))
}

// hurry has Next look again.
func (l *Live) hurry() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Subscribe yields the result of the query, and then each other result that it comes to, as long
// as the loop goes on. An error of the query is a LiveResult like another; the loop ends with the
// second value, an error as of Live.Next or Live.Change. Like App.As it reaches internal
// queries. Results that come faster than the loop takes them are passed over: the next one is
// always the latest.
//
//	for r, err := range app.Subscribe(ctx, "notes:list", nil, nil) {
//		if err != nil {
//			return err
//		}
//		show(r.Value, r.Err)
//	}
func (a *App) Subscribe(ctx context.Context, path string, args json.RawMessage, identity *dispatch.Identity) iter.Seq2[LiveResult, error] {
	return func(yield func(LiveResult, error) bool) {
		l := a.live(identity, dispatch.OriginHost)
		defer l.Close()
		_, err := l.Change([]LiveQuery{{Path: path, Args: args}}, nil)
		for err == nil {
			var t Transition
			t, err = l.Next(ctx)
			for _, r := range t.Changed {
				if !yield(r, nil) {
					return
				}
			}
		}
		yield(LiveResult{}, err)
	}
}

// commitKey is under what a context has where to tell a mutation's commit.
type commitKey struct{}

// TellCommit returns a context for one call. When that has returned without an error, of a
// mutation *commit is a commit that has all that it has done, and 0 if any that is made from then
// on has: a Transition as of it, or of a later one, shows it (Live.Await).
func TellCommit(ctx context.Context, commit *uint64) context.Context {
	return context.WithValue(ctx, commitKey{}, commit)
}

// takeCommit returns where to tell the commit of the call, nil for nowhere, and the context
// without that, for what the call runs.
func takeCommit(ctx context.Context) (context.Context, *uint64) {
	commit, _ := ctx.Value(commitKey{}).(*uint64)
	if commit == nil {
		return ctx, nil
	}
	return context.WithValue(ctx, commitKey{}, (*uint64)(nil)), commit
}
