package dispatch

import (
	"errors"
	"maps"
	"reflect"
	"slices"

	"carillon/internal/declared"
)

// home is this package, whose callers declare references and bind handlers.
var home = reflect.TypeFor[Registry]().PkgPath()

// declarations are the references in package-level variables of the program.
var declarations declared.List[Info]

// Without says that the registry leaves the references of these paths unbound
// on purpose: another program binds them. Check does not ask for their handlers.
func (r *Registry) Without(paths ...string) {
	for _, path := range paths {
		r.without[path] = true
	}
}

// Check says what is wrong with the registry as a whole, in one error for all:
// each reference in a package-level variable that no handler is bound to, or
// whose path is bound to a function of another kind, if its package binds
// handlers in this registry itself. An engine refuses to open with such a registry.
func (r *Registry) Check() error {
	var errs []error
	for _, d := range declarations.Of(r.Packages()) {
		fn, bound := r.Lookup(d.What.Path)
		switch {
		case bound && fn.Kind != d.What.Kind:
			errs = append(errs, Errorf(CodeInvalidArgument, "reference %q (%s, %s) is declared as a %s, and a %s is bound to it",
				d.What.Path, d.Package, d.Line, d.What.Kind, fn.Kind))
		case !bound && !r.without[d.What.Path]:
			errs = append(errs, Errorf(CodeInvalidArgument, "reference %q (%s, %s) has no handler: bind one, or name it in Registry.Without",
				d.What.Path, d.Package, d.Line))
		}
	}
	return errors.Join(errs...)
}

// Packages returns the import paths of the packages that have bound handlers, sorted.
func (r *Registry) Packages() []string { return slices.Sorted(maps.Keys(r.binders)) }
