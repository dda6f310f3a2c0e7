// Package tracing gives requests OpenTelemetry spans: one for the request and one for each
// stage of it (queue, input, infer, output), in the caller's trace where it names one
// (traceparent, W3C Trace Context). Spans leave in batches over OTLP/HTTP.
//
// Spans and their export are our own: a span here is written once, by one goroutine, and
// known in full when it ends, so that a few hundred lines do what the SDK does with 1.2 MB
// of a binary that has to stay small.
//
// Neighbours: rest and rpc start a Span for each request, service adds the stages.
//
// Concurrency: a Tracer is safe for concurrent use, a Span serves one goroutine. Methods of
// a nil Tracer and a nil Span do nothing, which is what there is while tracing is off.
package tracing

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
)

// Config of tracing.
type Config struct {
	// Endpoint is the collector's URL, such as http://127.0.0.1:4318; spans go to its path
	// v1/traces. Empty: nothing is traced.
	Endpoint string
	// Ratio of the requests to trace, 0 to 1, of those whose caller has not decided.
	Ratio float64
	// Version of the server.
	Version string
	// Log is told of spans that can't be sent.
	Log *slog.Logger
}

// Validate checks a configuration.
func (c Config) Validate() error {
	if c.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("tracing endpoint %q: expected a URL such as http://127.0.0.1:4318", c.Endpoint)
	}
	if !(c.Ratio >= 0 && c.Ratio <= 1) {
		return fmt.Errorf("tracing ratio %v: expected 0 to 1", c.Ratio)
	}
	return nil
}

// Tracer starts spans.
type Tracer struct {
	limit uint64 // a trace whose id's second half is below this is taken
	out   *exporter
}

// New makes a tracer, nil where there is no endpoint. It must be closed.
func New(c Config) (*Tracer, error) {
	if err := c.Validate(); err != nil || c.Endpoint == "" {
		return nil, err
	}
	limit := uint64(math.MaxUint64)
	if c.Ratio < 1 {
		limit = uint64(c.Ratio * (1 << 63) * 2)
	}
	return &Tracer{limit: limit, out: newExporter(strings.TrimSuffix(c.Endpoint, "/")+"/v1/traces", c.Version, c.Log)}, nil
}

// Close sends what waits, or gives up with ctx.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.out.close(ctx)
}

// Span is that of one request.
type Span struct {
	tracer   *Tracer
	trace    [16]byte
	id       [8]byte
	parent   [8]byte // zero: none
	state    string
	name     string
	began    time.Time
	texts    []text
	children []span
}

// text is an attribute; number says that value is one.
type text struct {
	key, value string
	number     bool
}

// maxState bounds the header tracestate that is handed on (W3C Trace Context, section 3.3.1.5).
const maxState = 512

// Start begins the span of a request. parent and state are the headers traceparent and
// tracestate, or empty. It is nil for a request that is not traced.
func (t *Tracer) Start(name, parent, state string) *Span {
	if t == nil {
		return nil
	}
	s := &Span{tracer: t, name: name, began: time.Now(), id: newSpanID()}
	sampled, ok := s.join(parent)
	if ok && len(state) <= maxState {
		s.state = state
	}
	if !ok {
		binary.BigEndian.PutUint64(s.trace[:8], rand.Uint64()|1)
		binary.BigEndian.PutUint64(s.trace[8:], rand.Uint64())
		sampled = binary.BigEndian.Uint64(s.trace[8:]) <= t.limit && t.limit > 0
	}
	if !sampled {
		return nil
	}
	return s
}

func newSpanID() (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1) // zero is no id
	return id
}

// join takes the caller's trace from a header such as
// 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01. ok is false where there is none.
func (s *Span) join(parent string) (sampled, ok bool) {
	if len(parent) < 55 || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' || strings.HasPrefix(parent, "ff") ||
		parent[:2] == "00" && len(parent) != 55 || len(parent) > 55 && parent[55] != '-' || strings.ToLower(parent[:55]) != parent[:55] {
		return false, false
	}
	var version, flags [1]byte
	for _, part := range []struct {
		to   []byte
		from string
	}{{version[:], parent[:2]}, {s.trace[:], parent[3:35]}, {s.parent[:], parent[36:52]}, {flags[:], parent[53:55]}} {
		if _, err := hex.Decode(part.to, []byte(part.from)); err != nil {
			s.trace, s.parent = [16]byte{}, [8]byte{}
			return false, false
		}
	}
	if s.trace == [16]byte{} || s.parent == [8]byte{} {
		s.parent = [8]byte{}
		return false, false
	}
	return flags[0]&1 == 1, true
}

// Stage adds a span of something that is over. pairs are keys and numbers.
func (s *Span) Stage(name string, began time.Time, took time.Duration, pairs ...any) {
	if s == nil {
		return
	}
	c := span{trace: s.trace, id: newSpanID(), parent: s.id, state: s.state, name: name, kind: kindInternal, began: began, ended: began.Add(took)}
	for i := 0; i+1 < len(pairs); i += 2 {
		c.texts = append(c.texts, text{pairs[i].(string), fmt.Sprint(pairs[i+1]), true})
	}
	s.children = append(s.children, c)
}

// Set adds a text to the request's span.
func (s *Span) Set(key, value string) {
	if s != nil && value != "" {
		s.texts = append(s.texts, text{key, value, false})
	}
}

// SetInt adds a number.
func (s *Span) SetInt(key string, value int) {
	if s != nil {
		s.texts = append(s.texts, text{key, fmt.Sprint(value), true})
	}
}

// TraceID is the trace's, in hexadecimal digits; empty for a nil Span.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return hex.EncodeToString(s.trace[:])
}

// Parent is the header traceparent for calls that the request makes, or empty.
func (s *Span) Parent() string {
	if s == nil {
		return ""
	}
	return "00-" + s.TraceID() + "-" + hex.EncodeToString(s.id[:]) + "-01"
}

// End ends the request's span.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	x := span{trace: s.trace, id: s.id, parent: s.parent, state: s.state, name: s.name, kind: kindServer, began: s.began, ended: time.Now(), texts: s.texts}
	if err != nil {
		x.texts = append(x.texts, text{"error.type", string(api.CodeOf(err)), false})
		x.failed, x.message = true, api.Message(err)
	}
	s.tracer.out.add(append(s.children, x))
}

type spanKey struct{}

// With carries a span in a context; From finds it there, nil if there is none.
func With(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, spanKey{}, s)
}

// From finds the span that With put into a context, nil if there is none.
func From(ctx context.Context) *Span {
	s, _ := ctx.Value(spanKey{}).(*Span)
	return s
}
