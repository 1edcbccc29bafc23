package dispatch

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"carillon/internal/brief"
	"carillon/internal/declared"
)

// Info is what a function is declared to be. For engines.
type Info struct {
	Path     string        // "namespace:function"
	Kind     Kind          // query, mutation or action
	Internal bool          // to clients it does not exist
	Deadline time.Duration // bound of one run; 0 means the engine's default for the kind
	Formerly []string      // paths it used to have
	Retry    *RetryPolicy  // of its jobs that have none of their own; nil means DefaultRetry
	Tags     []string      // of its jobs that have none of their own
	Defaults []RunOption   // of its jobs that say nothing else

	StrictArgs bool // jobs run only with arguments that fit exactly
	NoResult   bool // of its jobs that do not say else no result is kept
	Remote     bool // another program runs it (Registry.Remote)

	Placement // of its jobs that say nothing else
}

// Function is a declared function with its handler. For engines.
type Function struct {
	Info
	args    argsType
	returns reflect.Type
	result  func(json.RawMessage) error // of an action: why the JSON does not fit

	// Invariant: exactly the one that Kind says is set.
	query    func(*QueryCtx, json.RawMessage, Limits) (json.RawMessage, error)
	mutation func(*MutationCtx, json.RawMessage, Limits) (json.RawMessage, error)
	action   func(*ActionCtx, json.RawMessage, Limits) (json.RawMessage, error)
}

// argsType is a decoder whose type is not known any more.
type argsType interface {
	normal(json.RawMessage) json.RawMessage
	check(json.RawMessage) error
	fits(reflect.Type) bool
	typ() reflect.Type
}

// checkArgs says whether the arguments decode into the function's type, by the
// rules of encoding/json and without unknown fields. Absent ones and null count
// as {} where the type is an object. The error is an *Error that names the field.
func (f *Function) checkArgs(args json.RawMessage) (err error) {
	defer func() {
		if v := recover(); v != nil { // a method UnmarshalJSON of the user's
			err = failure(f.Path, newPanic(v))
		}
	}()
	if err := f.args.check(f.args.normal(args)); err != nil {
		return badArgs(f.Path, err)
	}
	return nil
}

// Registry holds the functions of an app server. Bind every handler before the
// registry is given to an engine; from then on any number of goroutines read it.
type Registry struct {
	functions map[string]*Function // by path, and by former path
	remotes   []*remote            // what is under their prefixes is in no function's path
	binders   map[string]bool      // the packages that have bound handlers
	without   map[string]bool      // the paths that Without names
	around    []Middleware         // the outermost first
	dead      []DeadHook
	stuck     []StuckHook
	alerts    AlertTarget
	sealed    atomic.Bool
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	return &Registry{functions: map[string]*Function{}, binders: map[string]bool{}, without: map[string]bool{}}
}

// Seal ends registration: from then on Handle panics. An engine seals the
// registry it is opened with. Sealing twice is the same as once.
func (r *Registry) Seal() { r.sealed.Store(true) }

// Clone returns a registry with the same functions, middleware, hooks and alerts that is not
// sealed, whether or not r is: what is added to it does not come into r. It must not be called
// while handlers are bound in r.
func (r *Registry) Clone() *Registry {
	return &Registry{
		functions: maps.Clone(r.functions), binders: maps.Clone(r.binders), without: maps.Clone(r.without),
		remotes: slices.Clone(r.remotes),
		around:  slices.Clone(r.around), dead: slices.Clone(r.dead), stuck: slices.Clone(r.stuck), alerts: r.alerts,
	}
}

func (r *Registry) add(fn *Function) {
	if r.sealed.Load() {
		panic(fmt.Sprintf("dispatch: %s: handlers are bound before the registry is in use", fn.Path))
	}
	paths := append([]string{fn.Path}, fn.Formerly...)
	for _, path := range paths {
		if other, ok := r.Lookup(path); ok {
			panic(fmt.Sprintf("dispatch: %s: path %s belongs to %s %s already", fn.Path, path, other.Kind, other.Path))
		}
	}
	for _, path := range paths {
		r.functions[path] = fn
	}
	if pkg, ok := declared.Caller(home); ok {
		r.binders[pkg] = true
	}
}

// Lookup returns the function with the path, or which formerly had it, or the remote one.
func (r *Registry) Lookup(path string) (*Function, bool) {
	if fn, ok := r.functions[path]; ok {
		return fn, true
	}
	return r.remoteOf(path)
}

// Functions returns what is registered, sorted by path, without what is remote.
func (r *Registry) Functions() []Info {
	infos := make([]Info, 0, len(r.functions))
	for path, fn := range maps.All(r.functions) {
		if path == fn.Path {
			info := fn.Info
			info.Formerly = slices.Clone(info.Formerly)
			if info.Retry != nil {
				policy := *info.Retry
				info.Retry = &policy
			}
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Path, b.Path) })
	return infos
}

// Resolve returns the function that a call from the origin reaches under the
// path. It is the one place that decides what clients may see: to them an
// internal function is exactly like an unknown one. kind is the kind the caller
// expects, or "" for any. The error is an *Error.
func (r *Registry) Resolve(path string, origin Origin, kind Kind) (*Function, error) {
	fn, ok := r.Lookup(path)
	if !ok || origin == OriginClient && fn.Internal {
		return nil, &Error{Code: CodeNotFound, Path: brief.Cut(path, MaxPath), Message: "no function " + brief.Quote(path)}
	}
	if kind != "" && fn.Kind != kind {
		return nil, &Error{
			Code: CodeInvalidArgument, Path: path,
			Message: fmt.Sprintf("function %q is of kind %s, not %s", path, fn.Kind, kind),
		}
	}
	return fn, nil
}

// schedulable returns the function of a call that is to run later, with its
// arguments in the form they are stored in. It refuses what could never run: an
// unknown path, a query, arguments that do not fit or exceed the limits. The
// error is an *Error.
func (r *Registry) schedulable(call Call, limits Limits) (*Function, json.RawMessage, error) {
	if call.err != nil {
		return nil, nil, call.err
	}
	fn, err := r.Resolve(call.path, OriginFunction, "")
	if err != nil {
		return nil, nil, err
	}
	if fn.Kind == KindQuery {
		return nil, nil, &Error{
			Code: CodeInvalidArgument, Path: call.path,
			Message: fmt.Sprintf("function %q is a query: only mutations and actions run later", call.path),
		}
	}
	if err := checkSize(fn.Path, "args", len(call.args), limits.WithDefaults().Args); err != nil {
		return nil, nil, err
	}
	if !fn.args.fits(call.typ) {
		if err := fn.checkArgs(call.args); err != nil {
			return nil, nil, err
		}
	}
	return fn, fn.args.normal(call.args), nil
}
