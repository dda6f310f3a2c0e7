// Package api is the standard interface of aimass, written down once: the table of error codes (errors.yaml, from which
// errors_gen.go and docs/errors.md are generated), the REST description (openapi.yaml) and the gRPC service
// (inference.proto, model_config.proto, generated into inferencepb).
//
// It imports nothing of this project; every other room may import it. Rooms make errors with Errorf or Wrap; the edge
// (server) turns any error into a status and a body with CodeOf, Message and AppendErrorBody. All functions are safe for
// concurrent use, and an *Error is not changed after it was made.
package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
)

//go:generate go run ./errgen

// Code is the stable name of an error, one of the constants that are generated from errors.yaml. The zero value means
// "no error".
type Code string

// Info is one row of the error table.
type Info struct {
	Code      Code
	HTTP      int        // status of a REST answer
	GRPC      codes.Code // status of a gRPC answer
	Retryable bool       // the same request may succeed later, unchanged
	Meaning   string     // what happened, one sentence
	Action    string     // what the caller can do
}

// Table returns every row in the order of errors.yaml. The caller must not change it.
func Table() []Info { return table[:] }

// Info returns the code's row. A code that is not in the table (one of a newer server, seen by a client) gets the row of
// CodeInternal with its own name.
func (c Code) Info() Info {
	if i, ok := lookup(c); ok {
		return table[i]
	}
	i, _ := lookup(CodeInternal)
	row := table[i]
	row.Code = c
	return row
}

// Known reports whether the code is in the table.
func (c Code) Known() bool {
	_, ok := lookup(c)
	return ok
}

// HTTPStatus returns the status of a REST answer with this code.
func (c Code) HTTPStatus() int { return c.Info().HTTP }

// GRPCStatus returns the status of a gRPC answer with this code.
func (c Code) GRPCStatus() codes.Code { return c.Info().GRPC }

// Retryable reports whether the same request may succeed later, unchanged.
func (c Code) Retryable() bool { return c.Info().Retryable }

// Error is an error with a code. Its text is meant for the caller of the API: it must hold no path, no address and no
// name that is internal to the server. What only the log may see goes into the cause.
type Error struct {
	code       Code
	text       string
	cause      error
	retryAfter time.Duration
}

// Errorf makes an Error whose text is public as a whole, including that of a cause given with %w.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{code: code, text: err.Error(), cause: hidden(err)}
}

// hidden keeps the chain below a formatted error for errors.Is and errors.As without printing its text twice.
func hidden(err error) error {
	if _, many := err.(interface{ Unwrap() []error }); many {
		return silent{err}
	}
	if cause := errors.Unwrap(err); cause != nil {
		return silent{cause}
	}
	return nil
}

type silent struct{ error }

func (s silent) Unwrap() error { return s.error }

// Wrap makes an Error whose public text is the formatted one alone; the cause is shown by Error(), thus in the log, and
// never by Message.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{code: code, text: fmt.Sprintf(format, args...), cause: cause}
}

// WithRetryAfter returns a copy that tells the caller to wait that long before trying again.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := *e
	c.retryAfter = d
	return &c
}

// Error returns the text for the log, with the cause.
func (e *Error) Error() string {
	if _, quiet := e.cause.(silent); e.cause == nil || quiet {
		return e.text
	}
	return e.text + ": " + e.cause.Error()
}

// Message returns the text for the caller.
func (e *Error) Message() string { return e.text }

// Code returns the error's code.
func (e *Error) Code() Code { return e.code }

// RetryAfter returns how long the caller should wait before trying again, 0 when nothing is known.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is makes errors.Is(err, api.Errorf(code, "")) true for any error with the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.code == e.code && t.text == ""
}

// CodeOf returns the code of the outermost Error in the chain. An error without one has the code of a context error
// (cancelled, request_timeout) or else internal; nil has none.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := err.(*Error); ok {
		return e.code
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, context.Canceled):
		return CodeCancelled
	case errors.Is(err, context.DeadlineExceeded):
		return CodeRequestTimeout
	}
	return CodeInternal
}

// Message returns what the caller may read of an error: the text of the outermost Error in the chain, or a fixed sentence
// for an error that has none.
func Message(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.text
	}
	switch CodeOf(err) {
	case CodeCancelled:
		return "Request cancelled"
	case CodeRequestTimeout:
		return "Request timeout expired"
	}
	return "internal error"
}

// RetryAfter returns how long the caller should wait before trying again, 0 when nothing is known.
func RetryAfter(err error) time.Duration {
	var e *Error
	if errors.As(err, &e) {
		return e.retryAfter
	}
	return 0
}

// AppendErrorBody appends the body of an error answer,
//
//	{"error":text,"code":name,"request_id":id,"retryable":bool}
//
// whose text is prefix followed by Message(err). Triton's clients expect the prefix "[request id: ID] " where an
// inference request exists, see RequestPrefix.
func AppendErrorBody(dst []byte, err error, prefix, requestID string) []byte {
	code := CodeOf(err)
	dst = append(dst, `{"error":"`...)
	dst = AppendJSONEscaped(dst, prefix)
	dst = AppendJSONEscaped(dst, Message(err))
	dst = append(dst, `","code":"`...)
	dst = AppendJSONEscaped(dst, string(code))
	dst = append(dst, `","request_id":"`...)
	dst = AppendJSONEscaped(dst, requestID)
	dst = append(dst, `","retryable":`...)
	dst = strconv.AppendBool(dst, code.Retryable())
	return append(dst, '}')
}

// RequestPrefix returns the prefix of error texts about an inference request: "[request id: ID] ", with "<id_unknown>"
// where the caller gave no id.
func RequestPrefix(id string) string {
	if id == "" {
		return "[request id: <id_unknown>] "
	}
	return "[request id: " + id + "] "
}

// AppendTable appends the error table as JSON, the body of GET /v2/errors.
func AppendTable(dst []byte) []byte {
	dst = append(dst, `{"errors":[`...)
	for i := range table {
		row := &table[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"code":"`...)
		dst = AppendJSONEscaped(dst, string(row.Code))
		dst = append(dst, `","http":`...)
		dst = strconv.AppendInt(dst, int64(row.HTTP), 10)
		dst = append(dst, `,"grpc":"`...)
		dst = AppendJSONEscaped(dst, grpcNames[row.GRPC])
		dst = append(dst, `","retryable":`...)
		dst = strconv.AppendBool(dst, row.Retryable)
		dst = append(dst, `,"meaning":"`...)
		dst = AppendJSONEscaped(dst, row.Meaning)
		dst = append(dst, `","action":"`...)
		dst = AppendJSONEscaped(dst, row.Action)
		dst = append(dst, `"}`...)
	}
	return append(dst, `]}`...)
}
