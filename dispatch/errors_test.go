package dispatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"carillon/dispatch"
	"carillon/storage"
)

func TestCodesAreOneTable(t *testing.T) {
	want := []struct {
		code   dispatch.Code
		status int
		exit   int
	}{
		{"canceled", 499, 11},
		{"unknown", 500, 12},
		{"invalid_argument", 400, 13},
		{"deadline_exceeded", 504, 14},
		{"not_found", 404, 15},
		{"already_exists", 409, 16},
		{"permission_denied", 403, 17},
		{"resource_exhausted", 429, 18},
		{"failed_precondition", 400, 19},
		{"aborted", 409, 20},
		{"out_of_range", 400, 21},
		{"unimplemented", 501, 22},
		{"internal", 500, 23},
		{"unavailable", 503, 24},
		{"data_loss", 500, 25},
		{"unauthenticated", 401, 26},
	}
	codes := dispatch.Codes()
	if len(codes) != len(want) {
		t.Fatalf("%d codes, want %d", len(codes), len(want))
	}
	for i, tt := range want {
		c := codes[i]
		if c != tt.code || c.HTTPStatus() != tt.status || c.ExitCode() != tt.exit || !c.Valid() {
			t.Errorf("code %d is %s, status %d, exit %d, want %v", i, c, c.HTTPStatus(), c.ExitCode(), tt)
		}
	}
	if c := dispatch.Code("weird"); c.Valid() || c.HTTPStatus() != 500 || c.ExitCode() != 1 {
		t.Errorf("an unknown code: valid %v, status %d, exit %d", c.Valid(), c.HTTPStatus(), c.ExitCode())
	}
}

func TestAsErrorMaps(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("at /data/v0: %w", err) }
	for _, tt := range []struct {
		err     error
		code    dispatch.Code
		message string
	}{
		{wrap(storage.ErrNotFound), dispatch.CodeNotFound, "at /data/v0: not found"},
		{wrap(storage.ErrInvalid), dispatch.CodeInvalidArgument, "at /data/v0: invalid argument"},
		{wrap(storage.ErrExists), dispatch.CodeAlreadyExists, "at /data/v0: already exists"},
		{wrap(storage.ErrLimit), dispatch.CodeResourceExhausted, "at /data/v0: limit exceeded"},
		{wrap(storage.ErrReentrant), dispatch.CodeFailedPrecondition, "at /data/v0: reentrant use of a transaction"},
		{wrap(storage.ErrUndeclared), dispatch.CodeFailedPrecondition, "at /data/v0: table is not declared"},
		{wrap(storage.ErrTxDone), dispatch.CodeAborted, "transaction is over"},
		{wrap(storage.ErrUnknownOutcome), dispatch.CodeUnknown, "outcome of the commit is unknown"},
		{wrap(storage.ErrNotApplied), dispatch.CodeUnavailable, "change was not applied"},
		{wrap(storage.ErrUnavailable), dispatch.CodeUnavailable, "volume is unavailable"},
		{wrap(storage.ErrClosed), dispatch.CodeUnavailable, "store is closed"},
		{wrap(storage.ErrLocked), dispatch.CodeUnavailable, "volume is in use"},
		{wrap(storage.ErrFenced), dispatch.CodeUnavailable, "volume has another owner"},
		{wrap(storage.ErrCorrupt), dispatch.CodeDataLoss, "corrupt"},
		{wrap(storage.ErrFormat), dispatch.CodeDataLoss, "unknown format"},
		{wrap(context.DeadlineExceeded), dispatch.CodeDeadlineExceeded, "context deadline exceeded"},
		{wrap(context.Canceled), dispatch.CodeCanceled, "context canceled"},
		{io.ErrUnexpectedEOF, dispatch.CodeInternal, "internal error"},
		{errors.New("password is hunter2"), dispatch.CodeInternal, "internal error"},
		{wrap(dispatch.Errorf(dispatch.CodeOutOfRange, "too far")), dispatch.CodeOutOfRange, "too far"},
		{&dispatch.Error{Code: "weird", Message: "x"}, dispatch.CodeUnknown, "x"},
		{&dispatch.Error{}, dispatch.CodeUnknown, "unknown"},
	} {
		e := dispatch.AsError(tt.err)
		wantError(t, e, tt.code, tt.message)
		if !errors.Is(e, tt.err) {
			t.Errorf("%v is not in the chain of %v", tt.err, e)
		}
	}
	if e := dispatch.AsError(nil); e != nil {
		t.Errorf("AsError(nil) is %v", e)
	}
	own := dispatch.Errorf(dispatch.CodeAborted, "again")
	if dispatch.AsError(own) != own {
		t.Error("an *Error is not itself")
	}
}

func TestErrorTellsTheCallerOnlyItsJSON(t *testing.T) {
	e := dispatch.AsError(errors.New("password is hunter2"))
	e.Path = "a:b"
	data, err := json.Marshal(e)
	mustDo(t, err)
	if want := `{"code":"internal","path":"a:b","message":"internal error"}`; string(data) != want {
		t.Errorf("JSON %s, want %s", data, want)
	}
	if want := "a:b: internal: internal error: password is hunter2"; e.Error() != want {
		t.Errorf("text %q, want %q", e, want)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Error("run", "error", e)
	for _, want := range []string{"error.code=internal", "error.path=a:b", `error.cause="password is hunter2"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %s lacks %s", &log, want)
		}
	}
}

// TestCodeIsSaidOnce: the code stands before the message, which does not repeat it.
func TestCodeIsSaidOnce(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("%w: there is an app acme", storage.ErrExists), "already_exists: there is an app acme"},
		{fmt.Errorf("table notes: %w: no id", storage.ErrInvalid), "invalid_argument: table notes: no id"},
		{fmt.Errorf("app acme: %w", fmt.Errorf("%w: job x", storage.ErrNotFound)), "not_found: app acme: job x"},
		{fmt.Errorf("a file not found: %w: x", storage.ErrNotFound), "not_found: a file not found: x"},
		{fmt.Errorf("%w: 1 of 1", storage.ErrLimit), "resource_exhausted: limit exceeded: 1 of 1"},
		{storage.ErrNotFound, "not_found"},
		{&dispatch.Error{Code: dispatch.CodeAborted}, "aborted"},
		{dispatch.Permanent(fmt.Errorf("%w: x", storage.ErrInvalid)), "invalid_argument: x"},
	} {
		e := dispatch.AsError(tt.err)
		if e.Error() != tt.want || e.Message == "" || !errors.Is(e, tt.err) {
			t.Errorf("%v: got %q, want %q", tt.err, e, tt.want)
		}
	}
}

func TestErrorfKeepsItsCause(t *testing.T) {
	e := dispatch.Errorf(dispatch.CodeUnavailable, "mail server: %w", io.EOF)
	wantError(t, e, dispatch.CodeUnavailable, "mail server: EOF")
	if !errors.Is(e, io.EOF) || e.Error() != "unavailable: mail server: EOF" {
		t.Errorf("error %q, EOF in its chain: %v", e, errors.Is(e, io.EOF))
	}
}

func TestMessagesAreCut(t *testing.T) {
	fits := dispatch.Errorf(dispatch.CodeAborted, "%s", strings.Repeat("x", dispatch.MaxMessage))
	if got := dispatch.AsError(fits).Message; got != fits.Message {
		t.Errorf("a message of the longest length has become %d bytes", len(got))
	}
	over := dispatch.Errorf(dispatch.CodeAborted, "%s", strings.Repeat("ä", dispatch.MaxMessage/2)+"x")
	got := dispatch.AsError(over).Message
	if len(got) > dispatch.MaxMessage || !strings.HasSuffix(got, "ä…") || !utf8.ValidString(got) {
		t.Errorf("a message one byte too long has become %d bytes ending in %q", len(got), got[len(got)-6:])
	}
}

func TestPermanentSurvivesWrapping(t *testing.T) {
	err := dispatch.Permanent(fmt.Errorf("burn: %w", storage.ErrNotFound))
	for _, err := range []error{err, fmt.Errorf("job: %w", err), dispatch.AsError(err), dispatch.AsError(dispatch.AsError(err))} {
		if !dispatch.IsPermanent(err) {
			t.Errorf("%v is not permanent", err)
		}
	}
	wantError(t, dispatch.AsError(err), dispatch.CodeNotFound, "burn: not found")
	own := dispatch.AsError(dispatch.Permanent(dispatch.Errorf(dispatch.CodePermissionDenied, "no")))
	wantError(t, own, dispatch.CodePermissionDenied, "no")
	if !dispatch.IsPermanent(own) {
		t.Error("a permanent *Error is not permanent")
	}
	if dispatch.Permanent(nil) != nil || dispatch.IsPermanent(nil) || dispatch.IsPermanent(storage.ErrNotFound) {
		t.Error("something is permanent that nobody called so")
	}
}
