package rest

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/server/tracing"
)

// span begins the span of a request, in the caller's trace if it names one.
func (h *Handler) span(ctx *fasthttp.RequestCtx, t *tracing.Tracer) *tracing.Span {
	r := &ctx.Request.Header
	s := t.Start(string(ctx.Method())+" "+routeName(ctx.Path()), string(r.PeekBytes(headerParent)), string(r.PeekBytes(headerState)))
	s.Set("http.request.method", string(ctx.Method()))
	s.Set("url.path", string(ctx.Path()))
	if p := s.Parent(); p != "" {
		ctx.Response.Header.Set("Traceresponse", p)
	}
	return s
}

// routeName is a path without the names in it, so that spans of one kind have one name.
func routeName(path []byte) string {
	parts := bytes.Split(path, []byte{'/'})
	for i := range parts {
		switch {
		case i > 0 && string(parts[i-1]) == "models" && string(parts[i]) != "stats":
			parts[i] = []byte("{model}")
		case i > 0 && string(parts[i-1]) == "versions":
			parts[i] = []byte("{version}")
		case i > maxRoute:
			return "other"
		}
	}
	return string(bytes.Join(parts, []byte{'/'}))
}

// maxRoute is the most parts that a path of ours has.
const maxRoute = 8

// endSpan ends the span with what the answer says.
func (j *job) endSpan(ctx *fasthttp.RequestCtx, err error) {
	j.span.Set("aimass.request_id", string(j.id))
	j.span.Set("aimass.tenant", j.tenant)
	j.span.SetInt("http.response.status_code", ctx.Response.StatusCode())
	j.span.End(err)
}
