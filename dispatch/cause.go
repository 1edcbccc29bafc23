package dispatch

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"carillon/internal/brief"
	"carillon/storage"
)

// cause is what an error came of, for those who run the program: a caller is not told.
type cause struct{ text, stack string }

// CauseOf returns what the attempt of a job, or what it has run, failed of: the text that the message
// of the error does not have, at most storage.MaxCause bytes, and where that was, at most
// storage.MaxStack. The stack is that of a panic, or what a method StackTrace of an error in the chain
// returns, as %+v writes it. Both are valid UTF-8, and "" if there is none. For engines.
func CauseOf(err error) (text, stack string) {
	rest := err
	for e := (*Error)(nil); errors.As(rest, &e); rest = e.Err {
		if e.cause != nil {
			return e.cause.text, e.cause.stack
		}
	}
	var p *PanicError
	if errors.As(err, &p) { // of what is not a handler's own goroutine
		return bounded(p.Error(), storage.MaxCause), bounded(p.where(), storage.MaxStack)
	}
	return "", ""
}

// keepCause has CauseOf know it. It calls methods of the handler's error, in the handler's goroutine:
// elsewhere one that panics, or takes its time, would not be its attempt's matter only.
func (e *Error) keepCause() {
	defer func() {
		if v := recover(); v != nil {
			e.cause = &cause{text: bounded(fmt.Sprintf("its error cannot be read: panic: %v", v), storage.MaxCause)}
		}
	}()
	if c := (cause{bounded(e.detail(), storage.MaxCause), bounded(stackOf(e.Err), storage.MaxStack)}); c != (cause{}) {
		e.cause = &c
	}
}

func bounded(text string, most int) string {
	return brief.Cut(strings.ToValidUTF8(text, "\uFFFD"), most)
}

// stackOf is where err comes from, as the innermost error says that does.
func stackOf(err error) string {
	switch e := err.(type) {
	case nil:
		return ""
	case *PanicError:
		return e.where()
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if stack := stackOf(inner); stack != "" {
				return stack
			}
		}
	case interface{ Unwrap() error }:
		if stack := stackOf(e.Unwrap()); stack != "" {
			return stack
		}
	}
	m := reflect.ValueOf(err).MethodByName("StackTrace") // the packages that have one do not agree on its type
	if !m.IsValid() || m.Type().NumIn() != 0 || m.Type().NumOut() != 1 {
		return ""
	}
	return strings.TrimSpace(fmt.Sprintf("%+v", m.Call(nil)[0].Interface()))
}

// where is the stack from what has panicked to the outermost handler: what caught it stands before, and
// what called it behind.
func (e *PanicError) where() string {
	stack := string(e.Stack)
	if _, after, ok := strings.Cut(stack, "\npanic("); ok {
		_, after, _ = strings.Cut(after, "\n") // its arguments
		_, stack, _ = strings.Cut(after, "\n") // its place
	}
	if i := strings.LastIndex(stack, "\n"+reflect.TypeFor[PanicError]().PkgPath()+".handle["); i >= 0 {
		stack = stack[:i]
	}
	return strings.TrimSpace(stack)
}
