// Package tracing gives requests OpenTelemetry spans: one for the request and one for each
// stage of it (queue, input, compute, output), with the ids of the caller's trace where it
// sends one (traceparent, W3C Trace Context). Spans leave in batches over OTLP/HTTP.
//
// The SDK makes and batches the spans; the exporter is our own, in the JSON form of OTLP
// that every collector takes: the SDK's brings the gateway of gRPC and 4 MB with it.
//
// Neighbours: rest and rpc start a Span for each request, service adds the stages.
//
// Concurrency: a Tracer is safe for concurrent use, a Span serves one goroutine. Methods of
// a nil Tracer and a nil Span do nothing, which is what there is while tracing is off.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/aimass/aimass/api"
)

// Config of tracing.
type Config struct {
	// Endpoint is the collector's URL, such as http://127.0.0.1:4318; spans go to its path
	// v1/traces. Empty: nothing is traced.
	Endpoint string
	// Ratio of the requests to trace, 0 to 1, of those whose caller has not decided. Default 1.
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
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

const scope = "github.com/aimass/aimass"

// New makes a tracer, nil where there is no endpoint.
func New(c Config) (*Tracer, error) {
	if err := c.Validate(); err != nil || c.Endpoint == "" {
		return nil, err
	}
	r := resource.NewSchemaless(attribute.String("service.name", "aimass"), attribute.String("service.version", c.Version))
	p := sdk.NewTracerProvider(sdk.WithResource(r), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.Ratio))),
		sdk.WithBatcher(newExporter(strings.TrimSuffix(c.Endpoint, "/")+"/v1/traces", c.Log)))
	return &Tracer{provider: p, tracer: p.Tracer(scope)}, nil
}

// Close sends what waits.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return errors.Join(t.provider.ForceFlush(ctx), t.provider.Shutdown(ctx))
}

// Span is that of one request.
type Span struct {
	tracer *Tracer
	ctx    context.Context
	span   trace.Span
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

// Start begins the span of a request. parent and state are the headers traceparent and
// tracestate, or empty. It is nil for a request that is not traced.
func (t *Tracer) Start(name, parent, state string) *Span {
	if t == nil {
		return nil
	}
	ctx := context.Background()
	if parent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent, "tracestate": state})
	}
	s := &Span{tracer: t}
	if s.ctx, s.span = t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer)); !s.span.IsRecording() {
		return nil
	}
	return s
}

// Stage adds a span of something that is over.
func (s *Span) Stage(name string, began time.Time, took time.Duration, attributes ...attribute.KeyValue) {
	if s == nil {
		return
	}
	_, x := s.tracer.tracer.Start(s.ctx, name, trace.WithTimestamp(began), trace.WithAttributes(attributes...))
	x.End(trace.WithTimestamp(began.Add(took)))
}

// Set adds a text to the request's span.
func (s *Span) Set(key, value string) {
	if s != nil && value != "" {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// SetInt adds a number.
func (s *Span) SetInt(key string, value int) {
	if s != nil {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// TraceID is the trace's, in hexadecimal digits; empty for a nil Span.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// Parent is the header traceparent for calls that the request makes, or empty.
func (s *Span) Parent() string {
	if s == nil {
		return ""
	}
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(s.ctx, c)
	return c["traceparent"]
}

// End ends the request's span.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		s.span.SetAttributes(attribute.String("error.type", string(api.CodeOf(err))))
		s.span.SetStatus(codes.Error, api.Message(err))
	}
	s.span.End()
}
