package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/client"
)

func newLogsCommand() *cobra.Command {
	r := &remote{}
	var q client.LogQuery
	var since time.Duration
	var follow, asJSON bool
	c := &cobra.Command{
		Use:     "logs",
		Short:   "Search or follow the log of a running server",
		Args:    cobra.NoArgs,
		Example: "  aimass logs --request-id 7d4bb1d60b2b54b3\n  aimass logs --model appt-noshow --level warn --since 1h\n  aimass logs --follow",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since > 0 {
				q.Since = time.Now().Add(-since)
			}
			w := cmd.OutOrStdout()
			show := func(line json.RawMessage) error {
				if asJSON {
					_, err := fmt.Fprintf(w, "%s\n", line)
					return err
				}
				return showLine(w, line)
			}
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				if follow {
					err := c.FollowLogs(ctx, q, show)
					if errors.Is(err, context.Canceled) {
						return nil
					}
					return err
				}
				lines, more, err := c.Logs(ctx, q)
				if err != nil {
					return err
				}
				for _, line := range lines {
					if err := show(line); err != nil {
						return err
					}
				}
				if more {
					fmt.Fprintf(cmd.ErrOrStderr(), "there are earlier lines: --limit shows more than %d\n", len(lines))
				}
				return nil
			})
		},
	}
	r.flags(c)
	f := c.Flags()
	f.StringVar(&q.RequestID, "request-id", "", "lines about this request")
	f.StringVar(&q.TraceID, "trace-id", "", "lines about this trace")
	f.StringVar(&q.Model, "model", "", "lines about this model")
	f.StringVar(&q.Tenant, "tenant", "", "lines about this tenant")
	f.StringVar(&q.Code, "code", "", "lines with this error code")
	f.StringVar(&q.Level, "level", "", "the least level: debug, info, warn or error")
	f.StringVar(&q.Text, "text", "", "lines that hold this text")
	f.DurationVar(&since, "since", 0, "lines of so long back")
	f.IntVar(&q.Limit, "limit", 100, "how many lines, the latest")
	f.BoolVar(&follow, "follow", false, "go on with the lines that come")
	f.BoolVar(&asJSON, "json", false, "print each line as the JSON object that it is")
	return c
}

// showLine prints a line for people: time, level, text, and the rest by name.
func showLine(w io.Writer, line json.RawMessage) error {
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(string(line)))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return err
	}
	at, _ := m["time"].(string)
	if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		at = t.Local().Format("2006-01-02 15:04:05.000")
	}
	fmt.Fprintf(w, "%s %-5v %v", at, m["level"], m["msg"])
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if v := m[key]; key != "time" && key != "level" && key != "msg" && v != "" {
			fmt.Fprintf(w, " %s=%v", key, v)
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}
