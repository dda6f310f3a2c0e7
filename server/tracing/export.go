package tracing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// exporter sends spans as OTLP/HTTP has them in JSON (opentelemetry.io/docs/specs/otlp):
// ids in hexadecimal digits, 64-bit numbers as text.
type exporter struct {
	url  string
	http *http.Client
	log  *slog.Logger
	mu   sync.Mutex
	// told is when the log was last told of a failure.
	told time.Time
}

func newExporter(url string, log *slog.Logger) *exporter {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &exporter{url: url, http: &http.Client{Timeout: 10 * time.Second}, log: log}
}

type otlpValue struct {
	String *string  `json:"stringValue,omitempty"`
	Int    *string  `json:"intValue,omitempty"`
	Double *float64 `json:"doubleValue,omitempty"`
	Bool   *bool    `json:"boolValue,omitempty"`
}

type otlpAttribute struct {
	Key   string    `json:"key"`
	Value otlpValue `json:"value"`
}

type otlpSpan struct {
	TraceID    string          `json:"traceId"`
	SpanID     string          `json:"spanId"`
	ParentID   string          `json:"parentSpanId,omitempty"`
	State      string          `json:"traceState,omitempty"`
	Name       string          `json:"name"`
	Kind       int             `json:"kind"`
	Start      string          `json:"startTimeUnixNano"`
	End        string          `json:"endTimeUnixNano"`
	Attributes []otlpAttribute `json:"attributes,omitempty"`
	Status     otlpStatus      `json:"status"`
}

type otlpStatus struct {
	Code    int    `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
}

type otlpScopeSpans struct {
	Scope struct {
		Name string `json:"name"`
	} `json:"scope"`
	Spans []otlpSpan `json:"spans"`
}

type otlpResourceSpans struct {
	Resource struct {
		Attributes []otlpAttribute `json:"attributes"`
	} `json:"resource"`
	ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
}

func attributes(list []attribute.KeyValue) []otlpAttribute {
	out := make([]otlpAttribute, len(list))
	for i, kv := range list {
		v := otlpValue{}
		switch kv.Value.Type() {
		case attribute.INT64:
			s := strconv.FormatInt(kv.Value.AsInt64(), 10)
			v.Int = &s
		case attribute.FLOAT64:
			f := kv.Value.AsFloat64()
			v.Double = &f
		case attribute.BOOL:
			b := kv.Value.AsBool()
			v.Bool = &b
		default:
			s := kv.Value.Emit()
			v.String = &s
		}
		out[i] = otlpAttribute{string(kv.Key), v}
	}
	return out
}

// encode makes the body of an export. All spans have one resource and one scope.
func encode(spans []sdk.ReadOnlySpan) ([]byte, error) {
	r := otlpResourceSpans{ScopeSpans: make([]otlpScopeSpans, 1)}
	r.Resource.Attributes = attributes(spans[0].Resource().Attributes())
	s := &r.ScopeSpans[0]
	s.Scope.Name = scope
	for _, x := range spans {
		o := otlpSpan{TraceID: x.SpanContext().TraceID().String(), SpanID: x.SpanContext().SpanID().String(), State: x.SpanContext().TraceState().String(),
			Name: x.Name(), Kind: int(x.SpanKind()), Start: nanos(x.StartTime()), End: nanos(x.EndTime()), Attributes: attributes(x.Attributes())}
		if p := x.Parent(); p.HasSpanID() {
			o.ParentID = p.SpanID().String()
		}
		if st := x.Status(); st.Code == codes.Error {
			o.Status = otlpStatus{Code: 2, Message: st.Description} // STATUS_CODE_ERROR
		}
		s.Spans = append(s.Spans, o)
	}
	return json.Marshal(map[string]any{"resourceSpans": []otlpResourceSpans{r}})
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// ExportSpans implements the SDK's exporter. What can't be sent is lost, and the log told
// of it at most once a minute.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	body, err := encode(spans)
	if err == nil {
		err = e.send(ctx, body)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err != nil && time.Since(e.told) > time.Minute {
		e.told = time.Now()
		e.log.Warn("spans could not be sent", "spans", len(spans), "error", err.Error())
	}
	return nil
}

func (e *exporter) send(ctx context.Context, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := e.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answered %s", resp.Status)
	}
	return nil
}

// Shutdown implements the SDK's exporter.
func (e *exporter) Shutdown(context.Context) error {
	e.http.CloseIdleConnections()
	return nil
}
