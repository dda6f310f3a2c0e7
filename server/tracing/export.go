package tracing

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// span is one that is over.
type span struct {
	trace        [16]byte
	id, parent   [8]byte
	state, name  string
	kind         int
	began, ended time.Time
	texts        []text
	failed       bool
	message      string
}

// The kinds of spans that there are here, by OTLP's numbers.
const (
	kindInternal = 1
	kindServer   = 2
)

// statusError is OTLP's STATUS_CODE_ERROR.
const statusError = 2

// Bounds of the export.
const (
	maxWaiting = 8192 // spans; more are dropped and counted
	maxBatch   = 512
	interval   = time.Second
	patience   = 10 * time.Second
	tellAgain  = time.Minute
)

// exporter sends spans as OTLP/HTTP has them in JSON (opentelemetry.io/docs/specs/otlp):
// ids in hexadecimal digits, 64-bit numbers as text.
type exporter struct {
	url, version string
	http         *http.Client
	log          *slog.Logger

	mu      sync.Mutex
	waiting []span
	dropped int
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
	told    time.Time // the goroutine's alone
}

func newExporter(url, version string, log *slog.Logger) *exporter {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	e := &exporter{url: url, version: version, http: &http.Client{Timeout: patience}, log: log,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go e.run()
	return e
}

// add takes spans that are over; it never waits.
func (e *exporter) add(list []span) {
	e.mu.Lock()
	if len(e.waiting)+len(list) > maxWaiting {
		e.dropped += len(list)
	} else {
		e.waiting = append(e.waiting, list...)
	}
	full := len(e.waiting) >= maxBatch
	e.mu.Unlock()
	if full {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

func (e *exporter) run() {
	defer close(e.done)
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-e.stop:
			e.flush()
			return
		case <-t.C:
		case <-e.wake:
		}
		e.flush()
	}
}

// flush sends what waits. What can't be sent is lost, and the log told of it, not often.
func (e *exporter) flush() {
	for {
		e.mu.Lock()
		n := min(len(e.waiting), maxBatch)
		batch := e.waiting[:n:n]
		e.waiting = e.waiting[n:]
		lost := e.dropped
		e.dropped = 0
		e.mu.Unlock()
		var err error
		if n > 0 {
			if err = e.send(batch); err != nil {
				lost += n
			}
		}
		if lost > 0 && time.Since(e.told) > tellAgain {
			e.told = time.Now()
			e.log.Warn("spans were lost", "spans", lost, "error", fmt.Sprint(err))
		}
		if n < maxBatch {
			return
		}
	}
}

func (e *exporter) close(ctx context.Context) error {
	close(e.stop)
	select {
	case <-e.done:
		e.http.CloseIdleConnections()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *exporter) send(batch []span) error {
	body, err := e.encode(batch)
	if err != nil {
		return err
	}
	resp, err := e.http.Post(e.url, "application/json", bytes.NewReader(body))
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

// object is one of JSON.
type object = map[string]any

// encode makes the body of an export.
func (e *exporter) encode(batch []span) ([]byte, error) {
	spans := make([]object, len(batch))
	for i := range batch {
		s := &batch[i]
		o := object{"traceId": hex.EncodeToString(s.trace[:]), "spanId": hex.EncodeToString(s.id[:]), "name": s.name, "kind": s.kind,
			"startTimeUnixNano": strconv.FormatInt(s.began.UnixNano(), 10), "endTimeUnixNano": strconv.FormatInt(s.ended.UnixNano(), 10),
			"attributes": attributes(s.texts)}
		if s.parent != [8]byte{} {
			o["parentSpanId"] = hex.EncodeToString(s.parent[:])
		}
		if s.state != "" {
			o["traceState"] = s.state
		}
		if s.failed {
			o["status"] = object{"code": statusError, "message": s.message}
		}
		spans[i] = o
	}
	resource := attributes([]text{{"service.name", "aimass", false}, {"service.version", e.version, false}})
	return json.Marshal(object{"resourceSpans": []object{{"resource": object{"attributes": resource},
		"scopeSpans": []object{{"scope": object{"name": "aimass"}, "spans": spans}}}}})
}

func attributes(list []text) []object {
	out := make([]object, len(list))
	for i, t := range list {
		kind := "stringValue"
		if t.number {
			kind = "intValue"
		}
		out[i] = object{"key": t.key, "value": object{kind: t.value}}
	}
	return out
}
