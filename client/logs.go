package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// LogQuery says which lines of the server's log are wanted; empty fields don't matter.
type LogQuery struct {
	RequestID, TraceID, Model, Tenant, Code string
	// Level is the least: debug, info, warn or error. Text is anywhere in the line.
	Level, Text string
	// Since and Until bound the time.
	Since, Until time.Time
	// Limit bounds the lines; the latest are given. Default 100.
	Limit int
}

func (q *LogQuery) path(follow bool) string {
	v := url.Values{}
	for key, value := range map[string]string{"request_id": q.RequestID, "trace_id": q.TraceID, "model": q.Model, "tenant": q.Tenant, "code": q.Code, "level": q.Level, "text": q.Text} {
		if value != "" {
			v.Set(key, value)
		}
	}
	for key, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			v.Set(key, t.Format(time.RFC3339Nano))
		}
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if follow {
		v.Set("follow", "true")
	}
	return "/v2/logs?" + v.Encode()
}

// Logs gives lines of the server's log, each a JSON object, in the order of their times; more says that earlier ones are
// wanted too and beyond the limit.
func (c *Client) Logs(ctx context.Context, q LogQuery) (lines []json.RawMessage, more bool, err error) {
	m, err := get[struct {
		Lines []json.RawMessage `json:"lines"`
		More  bool              `json:"more"`
	}](ctx, c, q.path(false))
	if err != nil {
		return nil, false, err
	}
	return m.Lines, m.More, nil
}

// FollowLogs calls f with the lines that are there and those that come, until f fails, the server stops or ctx ends. It
// returns f's error, nil where the server stopped, and the context's.
func (c *Client) FollowLogs(ctx context.Context, q LogQuery, f func(line json.RawMessage) error) error {
	r, err := c.request(ctx, &call{method: http.MethodGet, path: q.path(true), plain: true, header: map[string]string{"Accept": "text/event-stream"}})
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := c.read(resp)
		if err != nil {
			return err
		}
		return answerError(&answer{status: resp.StatusCode, header: resp.Header, body: body})
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 4<<20)
	named := false // an event of another kind than a line
	for in.Scan() {
		line := in.Bytes()
		switch {
		case len(line) == 0:
			named = false
		case bytes.HasPrefix(line, []byte("event:")):
			named = true
		case bytes.HasPrefix(line, []byte("data: ")) && !named:
			if err := f(bytes.Clone(line[len("data: "):])); err != nil {
				return err
			}
		}
	}
	if err := in.Err(); err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("client: following the log: %w", err)
	}
	return ctx.Err()
}
