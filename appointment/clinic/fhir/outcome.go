package fhir

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
)

// invalid and missing are mistakes in the form of a request.
func invalid(field, format string, args ...any) error {
	return api.Errorf(api.CodeParameterInvalid, "%s: %s", field, fmt.Sprintf(format, args...))
}

func missing(what string) error {
	return api.Errorf(api.CodeFieldMissing, "expected %s", what)
}

// issueTypes are FHIR's words for HTTP statuses.
var issueTypes = map[int]string{
	400: "invalid", 403: "forbidden", 404: "not-found", 405: "not-supported", 409: "conflict", 412: "conflict", 413: "too-long",
	415: "not-supported", 422: "business-rule", 501: "not-supported", 503: "transient", 504: "timeout",
}

// fail answers with an OperationOutcome and the status of the error's code.
func (h *Handler) fail(w http.ResponseWriter, err error) {
	code := api.CodeOf(appointment.Public(err))
	info := code.Info()
	kind := issueTypes[info.HTTP]
	if kind == "" {
		kind = "exception"
	}
	out := OperationOutcome{ResourceType: "OperationOutcome", Issue: []Issue{{
		Severity: "error", Code: kind, Details: &CodeableConcept{Coding: []Coding{{errorSystem, string(code), info.Meaning}},
			Text: api.Message(appointment.Public(err))}, Diagnostics: info.Action,
	}}}
	var taken *book.TakenError
	if errors.As(err, &taken) {
		for i := range taken.Alternatives {
			out.Contained = append(out.Contained, h.slot(&taken.Alternatives[i]))
		}
	}
	if info.Retryable {
		w.Header().Set("Retry-After", "60")
	}
	if info.HTTP >= 500 && h.c.Log != nil {
		h.c.Log.Error("a FHIR request failed", "code", code, "error", err)
	}
	write(w, info.HTTP, out)
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/fhir+json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the client has gone
}
