package dispatch_test

import (
	"errors"
	"testing"

	"carillon/dispatch"
)

// wantError demands an *dispatch.Error with the code and the message.
func wantError(tb testing.TB, err error, code dispatch.Code, message string) {
	tb.Helper()
	var e *dispatch.Error
	if !errors.As(err, &e) {
		tb.Errorf("error %v (%T), want an *Error with code %s", err, err, code)
		return
	}
	if e.Code != code || e.Message != message {
		tb.Errorf("error {%s, %q}, want {%s, %q}", e.Code, e.Message, code, message)
	}
}

// mustDo fails the test on an error.
func mustDo(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// handleNothing binds a handler that does nothing to a mutation at the path.
func handleNothing[A any](reg *dispatch.Registry, path string, opts ...dispatch.FunctionOption) {
	dispatch.Mutation[A, dispatch.None](path, opts...).Handle(reg, func(*dispatch.MutationCtx, A) (dispatch.None, error) {
		return dispatch.None{}, nil
	})
}
