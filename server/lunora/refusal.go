package lunora

import "fmt"

// Code is what a refusal is told apart by.
type Code string

// The codes.
const (
	CodeInvalidInput        Code = "INVALID_INPUT"
	CodeInvalidID           Code = "INVALID_SCHEDULE_ID"
	CodeDuplicateID         Code = "DUPLICATE_SCHEDULE_ID"
	CodeOriginNotConfigured Code = "ORIGIN_NOT_CONFIGURED"
	CodeFunctionNotFound    Code = "FUNCTION_NOT_FOUND"
	CodeUnauthorized        Code = "UNAUTHORIZED"
	CodeForbidden           Code = "FORBIDDEN"
	CodeNotFound            Code = "NOT_FOUND"
	CodeConflict            Code = "CONFLICT"
	CodeTooLarge            Code = "PAYLOAD_TOO_LARGE"
	CodeMediaType           Code = "UNSUPPORTED_MEDIA_TYPE"
	CodeTooManyRequests     Code = "TOO_MANY_REQUESTS"
	CodeUnavailable         Code = "UNAVAILABLE"
	CodeInternal            Code = "INTERNAL"
)

// Error is a refusal that has a code of its own. It may be told to the client.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Refusal is the answer of a request that was refused.
type Refusal struct {
	Error Error `json:"error"`
}

// refuse is an error of the code.
func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
