package dispatch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"carillon/internal/brief"
	"carillon/storage"
)

// Workflows is the namespace of the remote functions that are workflows: the name in a path is that
// of the workflow.
const Workflows = "workflow"

// DeclineWait is how long a job waits at least that its worker has declined.
const DeclineWait = 30 * time.Second

// ErrDeclined is what a RemoteCaller returns, wrapped or not, when the worker says that an earlier
// attempt of the job is running yet. The job waits for DeclineWait, or as its policy has it if that is
// longer, and is not charged, within the bounds of RetryAfter.
var ErrDeclined = errors.New("an earlier attempt is running at the worker")

// RemoteCaller calls functions that another program has. Call returns what the function returned,
// as JSON, at most call.MaxResult bytes of it or else a *RemoteTooLarge; it must return soon after ctx
// is over, and not call again by itself what has failed. Any number of goroutines use it.
type RemoteCaller interface {
	Call(ctx context.Context, call RemoteCall) (json.RawMessage, error)
}

// RemoteCall is one attempt to run a remote function. A worker gets it at least once: App, Job and
// Attempt are the key by which it knows one that it has had.
type RemoteCall struct {
	App          storage.AppID
	Job          storage.JobID // "" for what is no job of its own
	Attempt      int           // 1 is the first; 0 for what is no job of its own
	Path         string
	Workflow     string // the workflow's name; "" for a function
	Args         json.RawMessage
	Pool         string    // of the job; "" is none
	ScheduledFor time.Time // when the attempt was due; zero for what is no job of its own
	MaxResult    int       // bytes
}

// RemoteTooLarge is the error of a RemoteCaller whose function has succeeded, with a result that is
// larger than MaxResult. Of a job it is a success, whose result is not kept.
type RemoteTooLarge struct{ Bytes int }

// Error implements error.
func (e *RemoteTooLarge) Error() string { return fmt.Sprintf("result: %d bytes or more", e.Bytes) }

// RemoteJob is what a remote function is told of its job, beside the JobRun. For engines.
type RemoteJob struct {
	Due  time.Time // of the attempt
	Pool string
	// Held returns nil when the attempt has been ended from outside: until then it goes on, with its
	// permits. An error is why it does not go on.
	Held func(context.Context) error
}

// remote are the functions under a prefix.
type remote struct {
	info   Info // Invariant: Path is the prefix with a * behind it
	caller RemoteCaller
	fn     Function // of no path
}

// Remote has the functions whose paths begin with what stands before the * of the prefix, such as
// "mail:*" or "team/*", run by the caller. To clients they do not exist. Any path under it can be
// scheduled, with arguments that are any JSON; each is an action, whose jobs are remote from when they
// are scheduled until they end: one whose prefix is declared no more is held, and so is one that was
// scheduled as a local function of the same path.
//
// Those of the namespace Workflows are workflows: success means that it was started. The attempt of a
// job in a pool goes on then, with its permits, until App.CompleteWorkflow ends it.
//
// It panics for a prefix that is none, that lies within another or around it, or within which a
// function of the registry has its path, and when the registry is in use. Options that name a path are
// of no use.
func (r *Registry) Remote(prefix string, caller RemoteCaller, opts ...FunctionOption) {
	r.addRemote(prefix, caller, true, opts)
}

// PublicRemote is Remote for functions that clients may call, too.
func (r *Registry) PublicRemote(prefix string, caller RemoteCaller, opts ...FunctionOption) {
	r.addRemote(prefix, caller, false, opts)
}

// CheckRemotePrefix says whether it is one for Remote: a namespace and a colon, with or without the
// begin of a name, or the begin of a namespace up to a slash, and a *.
func CheckRemotePrefix(prefix string) error {
	begin, ok := strings.CutSuffix(prefix, "*")
	if ok && strings.Contains(begin, ":") {
		ok = Path(begin+"x").Check() == nil
	} else if ok {
		ok = strings.HasSuffix(begin, "/") && Path(begin+"x:x").Check() == nil
	}
	if !ok {
		return fmt.Errorf("prefix %s: want namespace:* or namespace/*", brief.Quote(prefix))
	}
	return nil
}

func (r *Registry) addRemote(prefix string, caller RemoteCaller, internal bool, opts []FunctionOption) {
	if err := CheckRemotePrefix(prefix); err != nil {
		panic("dispatch: " + err.Error())
	}
	info := Info{Path: prefix, Kind: KindAction, Internal: internal, Remote: true}
	for _, opt := range opts {
		opt.changeFunction(&info)
	}
	checkHandler(info, caller == nil)
	switch {
	case r.sealed.Load():
		panic(fmt.Sprintf("dispatch: %s: remote functions are declared before the registry is in use", prefix))
	case len(info.Formerly) > 0:
		panic(fmt.Sprintf("dispatch: %s: remote functions have no former paths", prefix))
	}
	begin := strings.TrimSuffix(prefix, "*")
	for _, other := range r.remotes {
		o := strings.TrimSuffix(other.info.Path, "*")
		if strings.HasPrefix(begin, o) || strings.HasPrefix(o, begin) {
			panic(fmt.Sprintf("dispatch: %s: %s is remote already", prefix, other.info.Path))
		}
	}
	for path := range r.functions {
		if strings.HasPrefix(path, begin) {
			panic(fmt.Sprintf("dispatch: %s: path %s belongs to a function of this program", prefix, path))
		}
	}
	r.remotes = append(r.remotes, newRemote(info, caller))
}

func newRemote(info Info, caller RemoteCaller) *remote {
	of := &remote{info: info, caller: caller}
	args := newDecoder[json.RawMessage](info)
	raw := reflect.TypeFor[json.RawMessage]()
	of.fn = Function{Info: info, args: args, returns: raw, action: func(ctx *ActionCtx, raw json.RawMessage, limits Limits) (json.RawMessage, error) {
		return handle(args, func(ctx *ActionCtx, args json.RawMessage) (json.RawMessage, error) {
			return of.run(ctx, args, limits.Result)
		}, ctx, raw, limits)
	}}
	return of
}

// remoteOf returns the remote function of the path, which need not be well-formed.
func (r *Registry) remoteOf(path string) (*Function, bool) {
	for _, of := range r.remotes {
		if begin := strings.TrimSuffix(of.info.Path, "*"); strings.HasPrefix(path, begin) && Path(path).Check() == nil {
			fn := of.fn
			if fn.Path = path; workflowOf(path) != "" {
				fn.Deadline = cmp.Or(fn.Deadline, DefaultPending)
			}
			return &fn, true
		}
	}
	return nil, false
}

// Remotes returns the declared prefixes, each as the Info of a function whose path is the prefix.
// For engines.
func (r *Registry) Remotes() []Info {
	infos := make([]Info, len(r.remotes))
	for i, of := range r.remotes {
		infos[i] = of.info
	}
	return infos
}

// workflowOf is the name of the workflow at the path, "" if it is none.
func workflowOf(path string) string {
	if namespace, name, _ := strings.Cut(path, ":"); namespace == Workflows {
		return name
	}
	return ""
}

// IsWorkflow says whether the job is one of a workflow. For engines.
func IsWorkflow(job *storage.Job) bool { return job.Remote && workflowOf(job.Function) != "" }

// run is the handler of a remote function.
func (of *remote) run(ctx *ActionCtx, args json.RawMessage, most int) (json.RawMessage, error) {
	path := ctx.run.path()
	call := RemoteCall{App: ctx.run.env.App, Path: path, Workflow: workflowOf(path), Args: args, MaxResult: most}
	job := ctx.run.env.Remote
	if job != nil {
		call.Job, call.Attempt, call.Pool, call.ScheduledFor = ctx.Job.ID, ctx.Job.Attempt, job.Pool, job.Due
	}
	held := call.Workflow != "" && call.Pool != ""
	if held {
		// Before the worker is asked, which may be done before it has answered.
		if _, err := ctx.Pending(MaxPending); err != nil {
			return nil, err
		}
	}
	result, err := of.caller.Call(ctx, call)
	var large *RemoteTooLarge
	switch {
	case errors.As(err, &large):
		return nil, resultError{
			checkSize("", "result", max(large.Bytes, most+1), most),
			storage.NotKept{Bytes: max(large.Bytes, most+1), Reason: fmt.Sprintf("it is larger than %d bytes", most)},
		}
	case errors.Is(err, ErrDeclined):
		return nil, RetryAfter(DeclineWait, Because(err), func(p *Postponement) { p.Backoff = true })
	case err != nil:
		return nil, err
	case held:
		return json.RawMessage("null"), job.Held(ctx)
	case len(result) == 0:
		return json.RawMessage("null"), nil
	}
	return result, nil
}
