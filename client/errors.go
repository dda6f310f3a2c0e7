package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
)

// Error is a failure that the server reported. errors.As also finds the *api.Error in it.
type Error struct {
	// Status is the HTTP status of the answer.
	Status int
	// RequestID is the id under which the server's log has the request, "" if the server told none.
	RequestID string
	// Retryable is what the server says of the code, or the table of codes where it says nothing.
	Retryable bool
	// Attempts is how often the call was sent.
	Attempts int

	err *api.Error
}

// Code is the stable code. An answer of a server without codes gets the one that its status comes nearest to.
func (e *Error) Code() api.Code { return e.err.Code() }

// Error tells the code, the server's text and the request's id.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s", e.err.Code(), e.err.Message())
	if e.RequestID != "" && !strings.Contains(text, e.RequestID) {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// Unwrap returns the *api.Error.
func (e *Error) Unwrap() error { return e.err }

// maxErrorText bounds a text that is no error body of the protocol, as a proxy's page.
const maxErrorText = 300

func answerError(a *answer) *Error {
	var body struct {
		Error     string `json:"error"`
		Code      string `json:"code"`
		RequestID string `json:"request_id"`
		Retryable *bool  `json:"retryable"`
	}
	e := &Error{Status: a.status}
	text := ""
	if json.Unmarshal(a.body, &body) == nil {
		text = body.Error
	} else {
		body.Code, body.Retryable = "", nil
		text = strings.Join(strings.Fields(strings.ToValidUTF8(string(a.body[:min(len(a.body), maxErrorText)]), "")), " ")
	}
	if text == "" {
		text = fmt.Sprintf("HTTP status %d %s", a.status, http.StatusText(a.status))
	}
	code := api.Code(body.Code)
	if code == "" {
		code = codeOfStatus(a.status)
	}
	e.err = api.Errorf(code, "%s", text).WithRetryAfter(retryAfter(a.header.Get("Retry-After"), time.Now()))
	e.RequestID = body.RequestID
	if e.RequestID == "" {
		e.RequestID = a.header.Get("X-Request-Id")
	}
	switch {
	case body.Retryable != nil:
		e.Retryable = *body.Retryable
	case body.Code != "":
		e.Retryable = code.Known() && code.Retryable()
	default:
		e.Retryable = a.status == http.StatusTooManyRequests || a.status == http.StatusBadGateway || a.status == http.StatusServiceUnavailable
	}
	return e
}

// codeOfStatus serves answers that carry no code: other servers' and proxies'.
func codeOfStatus(status int) api.Code {
	switch status {
	case http.StatusBadRequest:
		return api.CodeMalformedRequest
	case http.StatusUnauthorized, http.StatusForbidden:
		return api.CodeAdminForbidden
	case http.StatusNotFound:
		return api.CodePathNotFound
	case http.StatusMethodNotAllowed:
		return api.CodeMethodNotAllowed
	case http.StatusRequestEntityTooLarge:
		return api.CodeBodyTooLarge
	case http.StatusUnsupportedMediaType:
		return api.CodeUnsupportedEncoding
	case http.StatusTooManyRequests:
		return api.CodeQueueFull
	case http.StatusNotImplemented:
		return api.CodeUnsupported
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return api.CodeModelUnavailable
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return api.CodeRequestTimeout
	}
	return api.CodeInternal
}

// retryAfter reads the header's two forms (RFC 9110, section 10.2.3); 0 where it has neither.
func retryAfter(text string, now time.Time) time.Duration {
	if text == "" {
		return 0
	}
	if s, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(max(s, 0)) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}
