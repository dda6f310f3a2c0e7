// Package logs is the server's log: one structured line (log/slog, text or JSON) for each refused or failed request, for
// each request where the access log is on, and for what happens to the server. From verbosity 1 on, each request has a line
// at each stage of its way. All lines go to a journal too, which can be searched and followed.
//
// Neighbours: package journal beneath; every part of server writes here; nothing below server logs, errors come up to the edge.
//
// Ownership: strings and bytes that are passed in are read until the call returns.
//
// Concurrency: everything is safe for concurrent use; settings may change while the server runs.
package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/server/logs/journal"
)

// Config of the log.
type Config struct {
	// Format is text or json. Default text.
	Format string
	// Access turns a line on for every request, not only for those that failed. Default off: it costs some microseconds a
	// request.
	Access bool
	// Verbose is the level of detail, 0 for none. Default 0.
	Verbose int
	// Journal keeps the lines. Default: one in memory.
	Journal *journal.Journal
}

// Validate checks the configuration.
func (c Config) Validate() error {
	if c.Format != "" && c.Format != "text" && c.Format != "json" {
		return fmt.Errorf("log format %q: must be text or json", c.Format)
	}
	if c.Verbose < 0 {
		return fmt.Errorf("log verbosity %d: must not be negative", c.Verbose)
	}
	return nil
}

// Logs writes the log.
type Logs struct {
	info, warning, err atomic.Bool
	verbose            atomic.Int64
	access             bool
	journal            *journal.Journal
	refusals           limiter
	*slog.Logger
}

// New makes a log that writes to w.
func New(w io.Writer, c Config) *Logs {
	l := &Logs{access: c.Access, journal: c.Journal}
	if l.journal == nil {
		l.journal, _ = journal.New(journal.Config{}) // in memory there is nothing to fail
	}
	l.info.Store(true)
	l.warning.Store(true)
	l.err.Store(true)
	l.verbose.Store(int64(c.Verbose))
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	var h slog.Handler = slog.NewTextHandler(w, options)
	if c.Format == "json" {
		h = slog.NewJSONHandler(w, options)
	}
	kept := slog.NewJSONHandler(l.journal, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: utc})
	l.Logger = slog.New(&filter{Handler: both{h, kept}, logs: l})
	return l
}

// utc makes the journal's times comparable as text.
func utc(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	}
	return a
}

// Journal keeps the lines.
func (l *Logs) Journal() *journal.Journal { return l.journal }

// both writes each line twice.
type both [2]slog.Handler

// Enabled is decided by filter.
func (b both) Enabled(context.Context, slog.Level) bool { return true }

// Handle writes the line.
func (b both) Handle(ctx context.Context, r slog.Record) error {
	return errors.Join(b[0].Handle(ctx, r.Clone()), b[1].Handle(ctx, r))
}

// WithAttrs adds attributes to both.
func (b both) WithAttrs(a []slog.Attr) slog.Handler {
	return both{b[0].WithAttrs(a), b[1].WithAttrs(a)}
}

// WithGroup begins a group in both.
func (b both) WithGroup(name string) slog.Handler {
	return both{b[0].WithGroup(name), b[1].WithGroup(name)}
}

// filter drops the lines of levels that are switched off.
type filter struct {
	slog.Handler
	logs *Logs
}

func (f *filter) Enabled(_ context.Context, level slog.Level) bool { return f.logs.on(level) }

func (f *filter) WithAttrs(a []slog.Attr) slog.Handler {
	return &filter{f.Handler.WithAttrs(a), f.logs}
}

func (f *filter) WithGroup(name string) slog.Handler {
	return &filter{f.Handler.WithGroup(name), f.logs}
}

func (l *Logs) on(level slog.Level) bool {
	switch {
	case level >= slog.LevelError:
		return l.err.Load()
	case level >= slog.LevelWarn:
		return l.warning.Load()
	case level >= slog.LevelInfo:
		return l.info.Load()
	}
	return l.verbose.Load() > 0
}

// Settings are what the logging extension of the protocol can change.
type Settings struct {
	Info, Warning, Error bool
	Verbose              uint32
}

// Settings returns what is in force.
func (l *Logs) Settings() Settings {
	return Settings{l.info.Load(), l.warning.Load(), l.err.Load(), uint32(l.verbose.Load())}
}

// Set changes what is in force.
func (l *Logs) Set(s Settings) {
	l.info.Store(s.Info)
	l.warning.Store(s.Warning)
	l.err.Store(s.Error)
	l.verbose.Store(int64(s.Verbose))
}

// Request describes one request for the log.
type Request struct {
	Protocol string // http or grpc
	Call     string // method and path, or the gRPC method
	Client   string // the peer's address
	ID       string
	TraceID  string // empty where the request is not traced
	Tenant   string
	Model    string
	Version  string
	Status   int // HTTP status or gRPC code
	In, Out  int // bytes of the bodies
	Took     time.Duration
	Err      error
}

// Detailed reports whether each request has a line at each stage of its way.
func (l *Logs) Detailed() bool { return l.verbose.Load() > 0 }

// WantsAccess reports whether successful requests are logged, so that callers need not describe them in vain.
func (l *Logs) WantsAccess() bool { return l.access && l.info.Load() || l.Detailed() }

// RefusalsFull reports whether as many refusals for want of capacity have a line as may in a second. Further ones need not
// be described, only counted by SkipRefusal.
func (l *Logs) RefusalsFull(now time.Time) bool { return !l.on(slog.LevelWarn) || l.refusals.full(now) }

// SkipRefusal counts a refusal that has no line.
func (l *Logs) SkipRefusal() { l.refusals.dropped.Add(1) }

// Done writes the line of a finished request: an error of the server's at level error, one of the caller's at level
// warning, a success at level info where the access log is on.
func (l *Logs) Done(r *Request) {
	level, text := slog.LevelInfo, "request"
	if r.Err != nil {
		level, text = slog.LevelWarn, "request refused"
		if c := api.CodeOf(r.Err); c.HTTPStatus() >= 500 && !c.Retryable() {
			level, text = slog.LevelError, "request failed"
		}
	} else if !l.WantsAccess() {
		return
	}
	if !l.on(level) {
		return
	}
	unlogged := int64(0)
	if Crowded(r.Err) {
		var ok bool
		if ok, unlogged = l.refusals.pass(time.Now()); !ok {
			return
		}
	}
	attrs := make([]slog.Attr, 0, 15)
	attrs = append(attrs, slog.String("protocol", r.Protocol), slog.String("call", r.Call), slog.String("client", r.Client),
		slog.String("request_id", r.ID))
	for _, o := range [...]slog.Attr{slog.String("trace_id", r.TraceID), slog.String("tenant", r.Tenant)} {
		if o.Value.String() != "" {
			attrs = append(attrs, o)
		}
	}
	if r.Model != "" {
		attrs = append(attrs, slog.String("model", r.Model), slog.String("version", r.Version))
	}
	attrs = append(attrs, slog.Int("status", r.Status), slog.Int("bytes_in", r.In), slog.Int("bytes_out", r.Out), slog.Duration("took", r.Took))
	if r.Err != nil {
		attrs = append(attrs, slog.String("code", string(api.CodeOf(r.Err))), slog.String("error", r.Err.Error()))
	}
	if unlogged > 0 {
		attrs = append(attrs, slog.Int64("not_logged", unlogged))
	}
	l.LogAttrs(context.Background(), level, text, attrs...)
}
