package rest

import (
	"bufio"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/server/logs/journal"
	"github.com/aimass/aimass/server/sock"
)

// Bounds of a query of the log.
const (
	defaultLines = 100
	maxLines     = 10000
	searchTime   = 30 * time.Second
)

// logs answers GET /v2/logs: the latest lines that a query wants, or with follow, or for
// those who accept it, an event stream of these and all that come. The log holds what all
// tenants did, so it is for those who may change the server.
func (h *Handler) logs(ctx *fasthttp.RequestCtx, j *job) error {
	if err := method(ctx, fasthttp.MethodGet); err != nil {
		return err
	}
	if err := h.admit(ctx, j); err != nil {
		return err
	}
	q, follow, err := logQuery(ctx.QueryArgs())
	if err != nil {
		return err
	}
	if follow || strings.Contains(string(ctx.Request.Header.Peek(fasthttp.HeaderAccept)), "text/event-stream") {
		return h.follow(ctx, q)
	}
	search, cancel := context.WithTimeout(context.Background(), searchTime)
	defer cancel()
	lines, more, err := h.log.Journal().Find(search, q)
	if err != nil {
		return err
	}
	body := []byte(`{"lines":[`)
	for i, line := range lines {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(append(body, '\n'), line...)
	}
	body = append(body, `],"more":`...)
	body = strconv.AppendBool(body, more)
	body = append(body, `,"lost":`...)
	body = strconv.AppendInt(body, h.log.Journal().Lost(), 10)
	h.send(ctx, contentJSON, append(body, '}'))
	return nil
}

// logQuery reads the filters.
func logQuery(args *fasthttp.Args) (q journal.Query, follow bool, err error) {
	q.Limit = defaultLines
	bad := func(key, value, want string) error {
		return api.Errorf(api.CodeLogQueryInvalid, "got %s=%.100s, expected %s", key, value, want)
	}
	for k, v := range args.All() {
		key, value := string(k), string(v)
		switch key {
		case "request_id":
			q.RequestID = value
		case "trace_id":
			q.TraceID = value
		case "model":
			q.Model = value
		case "tenant":
			q.Tenant = value
		case "code":
			q.Code = value
		case "text":
			q.Text = value
		case "level":
			q.Level = strings.ToUpper(value)
			if q.Level == "WARNING" {
				q.Level = "WARN"
			}
			if !slices.Contains(journal.Levels, q.Level) {
				return q, false, bad(key, value, "debug, info, warn or error")
			}
		case "since":
			if q.Since, err = logTime(value); err != nil {
				return q, false, bad(key, value, "a time such as 2026-01-31T12:00:00Z, or a duration back from now such as 15m")
			}
		case "until":
			if q.Until, err = logTime(value); err != nil {
				return q, false, bad(key, value, "a time such as 2026-01-31T12:00:00Z, or a duration back from now such as 15m")
			}
		case "limit":
			if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit < 0 || q.Limit > maxLines {
				return q, false, bad(key, value, "a whole number from 0 to "+strconv.Itoa(maxLines))
			}
		case "follow":
			if follow, err = strconv.ParseBool(value); err != nil {
				return q, false, bad(key, value, "true or false")
			}
		default:
			return q, false, api.Errorf(api.CodeLogQueryInvalid, "there is no filter '%.100s', there are request_id, trace_id, model, tenant, code, level, text, since, until, limit and follow", key)
		}
	}
	return q, follow, nil
}

// logTime reads a time, or how long ago it was.
func logTime(text string) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-d.Abs()), nil
	}
	return time.Parse(time.RFC3339Nano, text)
}

// beat is how often a silent stream says that it lives, so that nobody between cuts it.
const beat = 10 * time.Second

// follow streams lines as server-sent events: those that are there, then those that come.
func (h *Handler) follow(ctx *fasthttp.RequestCtx, q journal.Query) error {
	search, cancel := context.WithTimeout(context.Background(), searchTime)
	defer cancel()
	past, tail, err := h.log.Journal().Follow(search, q)
	if err != nil {
		return err
	}
	var gone <-chan struct{}
	if c, ok := ctx.Conn().(*sock.Conn); ok {
		gone = c.Gone()
	}
	ctx.Response.Header.SetContentType("text/event-stream")
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.SetConnectionClose()
	ctx.Response.ImmediateHeaderFlush = true
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer tail.Close()
		h.stream(w, tail, past, gone)
	})
	return nil
}

// drainPeriod is how soon a stream notices that the server stops.
const drainPeriod = 250 * time.Millisecond

func (h *Handler) stream(w *bufio.Writer, tail *journal.Tail, past [][]byte, gone <-chan struct{}) {
	event := func(line []byte) {
		_, _ = w.WriteString("data: ")
		_, _ = w.Write(line)
		_, _ = w.WriteString("\n\n")
	}
	for _, line := range past {
		event(line)
	}
	if w.Flush() != nil {
		return
	}
	ticks := time.NewTicker(drainPeriod)
	defer ticks.Stop()
	var dropped int64
	last := time.Now()
	for {
		select {
		case line, open := <-tail.Lines():
			if !open {
				return
			}
			event(line)
			for range len(tail.Lines()) {
				if line, open = <-tail.Lines(); open {
					event(line)
				}
			}
		case <-gone:
			return
		case <-ticks.C:
			if h.service.Draining() {
				return
			}
			n := tail.Dropped()
			if n == dropped && time.Since(last) < beat {
				continue
			}
			if n > dropped {
				_, _ = w.WriteString("event: dropped\ndata: {\"dropped\":" + strconv.FormatInt(n-dropped, 10) + "}\n\n")
				dropped = n
			} else {
				_, _ = w.WriteString(": nothing new\n\n")
			}
		}
		if last = time.Now(); w.Flush() != nil {
			return
		}
	}
}
