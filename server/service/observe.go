package service

import (
	"slices"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/pipeline"
)

// routed notes which version was chosen.
func (c *Call) routed() {
	if c.service.log.Detailed() {
		c.service.log.Debug("routed", append(c.named(), "tenant", c.Tenant, "asked", string(c.asked))...)
	}
	c.Mirrored = nil
	if c.Served.Shadowed() {
		c.Mirrored = c.service.compared(c.named())
	}
}

// named is what every line of a request's way begins with.
func (c *Call) named() []any {
	out := []any{"request_id", string(c.ID)}
	if id := c.Span.TraceID(); id != "" {
		out = append(out, "trace_id", id)
	}
	return append(out, "model", c.Served.Model, "version", c.Served.VersionText)
}

// ran notes how a request ran: in the log, where it is detailed or sampled, and as spans.
func (c *Call) ran(began time.Time, err error) {
	s, t := c.service, &c.Timing
	sampled := s.trace.sample(c.Served.Model)
	if !sampled && c.Span == nil && !s.log.Detailed() {
		return
	}
	took := time.Since(began)
	cached := c.Outcome == pipeline.FromCache
	if sampled {
		s.log.Info("trace", append(c.named(), "total_ns", time.Since(c.Arrived).Nanoseconds(),
			"queue_ns", t.Queue, "input_ns", t.Input, "infer_ns", t.Infer, "output_ns", t.Output,
			"batch_rows", t.BatchRows, "batch_requests", t.BatchRequests, "failed", err != nil)...)
	}
	if s.log.Detailed() {
		s.log.Debug("executed", append(c.named(), "tenant", c.Tenant, "code", string(api.CodeOf(err)),
			"took_ns", took.Nanoseconds(), "queue_ns", t.Queue, "infer_ns", t.Infer, "batch_rows", t.BatchRows, "batch_requests", t.BatchRequests, "cached", cached)...)
	}
	if c.Span == nil {
		return
	}
	c.Span.Set("aimass.model", c.Served.Model)
	c.Span.Set("aimass.version", c.Served.VersionText)
	if cached || err != nil {
		c.Span.Stage(map[bool]string{true: "cache", false: "failed"}[cached], began, took)
		return
	}
	for _, stage := range [...]struct {
		name string
		ns   int64
	}{{"queue", t.Queue}, {"input", t.Input}, {"infer", t.Infer}, {"output", t.Output}} {
		d := time.Duration(stage.ns)
		if stage.name == "infer" {
			c.Span.Stage(stage.name, began, d, "aimass.batch_rows", t.BatchRows, "aimass.batch_requests", t.BatchRequests)
		} else {
			c.Span.Stage(stage.name, began, d)
		}
		began = began.Add(d)
	}
}

// compared has the log tell how a shadow's answer compares: at level warning where it
// failed, info where it differs. named says whose answer it is.
func (s *Service) compared(named []any) pipeline.ShadowObserver {
	return func(to *pipeline.Served, differing bool, largest float64, err error) {
		attrs := append(slices.Clip(named), "shadow_version", to.VersionText)
		switch {
		case err != nil:
			s.log.Warn("shadow failed", append(attrs, "code", string(api.CodeOf(err)), "error", err.Error())...)
		case differing:
			s.log.Info("shadow differs", append(attrs, "max_difference", largest)...)
		default:
			s.log.Debug("shadow agrees", append(attrs, "max_difference", largest)...)
		}
	}
}
