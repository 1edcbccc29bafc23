// Package declared keeps what packages declare while they are initialised, so
// that Open can tell a declaration that the program makes no use of. It is the
// module's only global state: Go offers no other way from a package to its
// variables. Nothing that a function declares as it runs is kept, nor what a
// test's file declares: many programs share the package of tests.
package declared

import (
	"iter"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Site is where a declaration stands.
type Site struct {
	Package string // import path
	Line    string // "file.go:12"
}

// List is what all packages have declared of one kind.
type List[T any] struct {
	mu   sync.Mutex
	list []Declaration[T]
}

// Declaration is one of them.
type Declaration[T any] struct {
	Site
	What T
}

// Add keeps the declaration if it is made while a package is initialised. home
// is the package that offers declarations of this kind.
func (l *List[T]) Add(home string, what T) {
	site, ok := initializing(home)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, Declaration[T]{site, what})
}

// All returns what every package has declared.
func (l *List[T]) All() []Declaration[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// Of returns what the packages have declared, in the order they were initialised.
func (l *List[T]) Of(packages []string) []Declaration[T] {
	return slices.DeleteFunc(l.All(), func(d Declaration[T]) bool { return !slices.Contains(packages, d.Package) })
}

// initializing returns the package whose variables are being initialised, or
// whose init runs, and the line that does so.
func initializing(home string) (site Site, ok bool) {
	for f := range stack(home) {
		pkg, name := split(f.Function)
		if rest, isInit := strings.CutPrefix(name, "init"); isInit && strings.Trim(rest, ".0123456789") == "" {
			file := file(f)
			// Of a call that was inlined the compiler does not say the file.
			known := strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, testFile)
			return Site{pkg, file + ":" + strconv.Itoa(f.Line)}, known
		}
	}
	return Site{}, false
}

// Caller returns the package of the function that has called into home. ok is
// false if it stands in a test's file.
func Caller(home string) (pkg string, ok bool) {
	for f := range stack(home) {
		pkg, _ := split(f.Function)
		return pkg, !strings.HasSuffix(file(f), testFile)
	}
	return "", false
}

// testFile ends the name of a test's file.
const testFile = "_test.go"

func file(f runtime.Frame) string { return f.File[strings.LastIndexAny(f.File, `/\`)+1:] }

// stack yields the frames of the goroutine from the innermost outside of home on.
func stack(home string) iter.Seq[runtime.Frame] {
	return func(yield func(runtime.Frame) bool) {
		pcs := make([]uintptr, 32)
		frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
		for outside := false; ; {
			f, more := frames.Next()
			pkg, _ := split(f.Function)
			outside = outside || pkg != home && pkg != here
			if outside && !yield(f) || !more {
				return
			}
		}
	}
}

// here is this package.
var here = reflect.TypeFor[Site]().PkgPath()

// split cuts the name of a function into the import path of its package and
// what the package calls it.
func split(function string) (pkg, name string) {
	// What follows "[" are type parameters.
	plain, _, _ := strings.Cut(function, "[")
	slash := strings.LastIndexByte(plain, '/') + 1
	dot := strings.IndexByte(plain[slash:], '.')
	if dot < 0 {
		return plain, ""
	}
	// The compiler escapes the dots of a path's last element.
	return plain[:slash] + strings.ReplaceAll(plain[slash:slash+dot], "%2e", "."), plain[slash+dot+1:]
}
