package rest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/server/encoding"
	"github.com/aimass/aimass/server/logs"
	"github.com/aimass/aimass/server/service"
	"github.com/aimass/aimass/server/sock"
)

// Handler answers HTTP requests.
type Handler struct {
	cfg     Config
	service *service.Service
	log     *logs.Logs
	codings encoding.Set
	jobs    sync.Pool
	date    date
	refused atomic.Int64 // when a request was last refused for want of capacity, in Unix nanoseconds
	refusal atomic.Pointer[refusal]
	inLane  atomic.Int64
}

// New makes a handler. cfg has its defaults filled.
func New(cfg Config, s *service.Service) *Handler {
	h := &Handler{cfg: cfg, service: s, log: s.Log()}
	h.jobs.New = func() any { return new(job) }
	return h
}

// Listener wraps the listener to serve: its connections have the timeouts of the configuration, and answer requests
// whose bytes they know.
func (h *Handler) Listener(l net.Listener) net.Listener {
	cfg := sock.Config{Read: h.cfg.ReadTimeout, Idle: h.cfg.IdleTimeout, Write: h.cfg.WriteTimeout, Watch: !h.cfg.IgnoreClosed}
	cfg.Answerer = known{h}
	return sock.Listen(l, cfg)
}

// Server returns an HTTP server that runs the handler. It serves what Listener gives.
func (h *Handler) Server() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      h.Serve,
		ErrorHandler:                 h.malformed,
		MaxRequestBodySize:           h.cfg.MaxInput,
		StreamRequestBody:            true, // so that read sees the pieces of a chunked body and owns its buffer
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		LazyRequestTime:              true,
		Logger:                       quiet{},
		CloseOnShutdown:              true,
	}
}

// quiet drops fasthttp's own log: what concerns a request comes up in ErrorHandler.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Names of headers, canonical.
var (
	headerLength    = []byte("Inference-Header-Content-Length")
	headerRequestID = []byte("X-Request-Id")
	headerTenant    = []byte("X-Aimass-Tenant")
	headerRoute     = []byte("X-Route-Key")
	headerParent    = []byte("Traceparent")
	headerState     = []byte("Tracestate")
	headerTimeout   = []byte("X-Request-Timeout-Ms")
)

// Serve answers one request.
func (h *Handler) Serve(ctx *fasthttp.RequestCtx) {
	began := time.Now()
	j := h.jobs.Get().(*job)
	j.begin(h, ctx)
	if t := h.service.Tracer(); t != nil {
		j.span = h.span(ctx, t)
	}
	err := h.route(ctx, j)
	h.service.Counts.HTTP(err)
	if err != nil {
		h.fail(ctx, j, err)
		h.noteRefusal(err, began)
	}
	if j.inference {
		j.expect(ctx)
	}
	if len(j.id) == 0 && h.log.WantsAccess() {
		j.id = newID(j.id)
	}
	if len(j.id) > 0 {
		ctx.Response.Header.SetBytesKV(headerRequestID, j.id)
	}
	if h.service.Draining() {
		// So that no client sends its next request on a connection that is about to be closed.
		ctx.SetConnectionClose()
	}
	if h.log.WantsAccess() || err != nil && !h.quietly(err, began) {
		h.logDone(ctx, j, err, time.Since(began))
	}
	if j.span != nil {
		j.endSpan(ctx, err)
	}
	j.end()
	h.jobs.Put(j)
}

// fail makes an error the answer.
func (h *Handler) fail(ctx *fasthttp.RequestCtx, j *job, err error) {
	if len(j.id) == 0 {
		j.id = newID(j.id)
	}
	prefix := ""
	if j.inference {
		prefix = api.RequestPrefix(string(j.givenID))
	}
	ctx.Response.ResetBody()
	ctx.Response.Header.Del(string(headerLength))
	ctx.SetStatusCode(api.CodeOf(err).HTTPStatus())
	ctx.Response.Header.SetContentTypeBytes(contentJSON)
	if d := api.RetryAfter(err); d > 0 {
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.FormatInt(retrySeconds(d), 10))
	}
	body := ctx.Response.SwapBody(nil)[:0]
	if bytes.HasPrefix(ctx.Path(), pathOpenAI) {
		body = appendOpenAIError(body, err, string(j.id))
	} else {
		body = api.AppendErrorBody(body, err, prefix, string(j.id))
	}
	ctx.Response.SwapBody(body)
}

// malformed answers what fasthttp could not read as a request.
func (h *Handler) malformed(ctx *fasthttp.RequestCtx, cause error) {
	var j job
	j.id = newID(nil)
	err := api.Wrap(api.CodeMalformedRequest, cause, "the request can't be read as HTTP")
	if _, small := cause.(*fasthttp.ErrSmallBuffer); small {
		err = api.Wrap(api.CodeMalformedRequest, cause, "the request's headers are too large")
	}
	if errors.Is(cause, sock.ErrBareLine) {
		err = api.Errorf(api.CodeMalformedRequest, "the request can't be read as HTTP: %w; every line ends in CR LF", sock.ErrBareLine)
	}
	h.service.Counts.HTTP(err)
	h.fail(ctx, &j, err)
	ctx.SetConnectionClose()
	h.logDone(ctx, &j, err, 0)
}

func (h *Handler) logDone(ctx *fasthttp.RequestCtx, j *job, err error, took time.Duration) {
	h.log.Done(&logs.Request{
		Protocol: "http", Call: string(ctx.Method()) + " " + string(ctx.Path()), Client: ctx.RemoteAddr().String(), ID: string(j.id), TraceID: j.span.TraceID(), Tenant: j.tenant,
		Model: string(j.model), Version: string(j.version), Status: ctx.Response.StatusCode(),
		In: len(j.raw), Out: bodyLength(ctx), Took: took, Err: err,
	})
}

// bodyLength does not read a streamed body; −1 where its length is not known.
func bodyLength(ctx *fasthttp.RequestCtx) int {
	if ctx.Response.IsBodyStream() {
		return ctx.Response.Header.ContentLength()
	}
	return len(ctx.Response.Body())
}

// newID makes an id for a request that brought none and needs one.
func newID(dst []byte) []byte {
	var b [8]byte
	rand.Read(b[:])
	return hex.AppendEncode(dst[:0], b[:])
}

// maxID bounds the length of a request id in a header.
const maxID = 128

// usableID refuses ids that would garble headers and logs.
func usableID(id []byte) bool {
	if len(id) > maxID {
		return false
	}
	for _, c := range id {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}

// caller describes who asks for a change of the server.
func caller(ctx *fasthttp.RequestCtx) *service.Caller {
	c := &service.Caller{Authorization: string(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)),
		Origin: string(ctx.Request.Header.Peek(fasthttp.HeaderOrigin)), Host: string(ctx.Host())}
	if ip, ok := netip.AddrFromSlice(ctx.RemoteIP()); ok {
		c.Addr = ip
	}
	return c
}

var contentJSON = []byte("application/json")

// send makes body the answer, compressed if the client wants that. fasthttp keeps body and writes into it later.
func (h *Handler) send(ctx *fasthttp.RequestCtx, contentType, body []byte) {
	ctx.Response.Header.SetContentTypeBytes(contentType)
	kind := encoding.Identity
	if accept := ctx.Request.Header.Peek(fasthttp.HeaderAcceptEncoding); len(accept) > 0 && len(body) >= h.cfg.CompressFrom {
		kind = encoding.Negotiate(accept)
		ctx.Response.Header.Set(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	}
	if kind != encoding.Identity {
		packed, err := h.codings.AppendCompressed(nil, kind, body)
		if err == nil {
			ctx.Response.Header.SetContentEncoding(kind.String())
			body = packed
		}
	}
	ctx.Response.SwapBody(body)
}

// method checks that the request has one of the given methods.
func method(ctx *fasthttp.RequestCtx, allowed ...string) error {
	got := ctx.Method()
	for _, m := range allowed {
		if string(got) == m || m == fasthttp.MethodGet && bytes.Equal(got, []byte(fasthttp.MethodHead)) {
			return nil
		}
	}
	list := allowed[0]
	for _, m := range allowed[1:] {
		list += ", " + m
	}
	ctx.Response.Header.Set(fasthttp.HeaderAllow, list)
	return api.Errorf(api.CodeMethodNotAllowed, "Method Not Allowed: this path takes %s", list)
}
