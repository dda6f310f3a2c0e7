package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/client"
)

// remote is how the commands that talk to a server reach it.
type remote struct {
	server, tokenFile string
	timeout           time.Duration
}

func (r *remote) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&r.server, "server", "http://127.0.0.1:8000", "the server's HTTP address")
	f.StringVar(&r.tokenFile, "token-file", "", "a file with the server's admin token; needed to change a server that is not on this machine")
	f.DurationVar(&r.timeout, "timeout", 5*time.Minute, "how long a call may take")
}

// do makes a client and calls f with it. Nothing is tried again: who waits at a terminal
// wants to know at once.
func (r *remote) do(cmd *cobra.Command, f func(ctx context.Context, c *client.Client) error) error {
	o := client.Options{Timeout: r.timeout, Retry: client.Retry{Attempts: 1}}
	if r.tokenFile != "" {
		token, err := readToken("--token-file", r.tokenFile)
		if err != nil {
			return err
		}
		o.Token = token
	}
	c, err := client.New(r.server, o)
	if err != nil {
		return fmt.Errorf("--server: %w", err)
	}
	defer c.Close()
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return r.explain(f(ctx, c))
}

// explain adds what to do about an error.
func (r *remote) explain(err error) error {
	var answered *client.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answered):
		if info := answered.Code().Info(); answered.Code().Known() && answered.Code() != api.CodeInternal {
			return fmt.Errorf("%w\n  %s", err, info.Action)
		}
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s in %v; --timeout gives it longer", r.server, r.timeout)
	}
	return unreached(err, r.server, "--server")
}

// unreached says in words that nothing listens at a server's address; flag names another.
func unreached(err error, server, flag string) error {
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return fmt.Errorf("no server answers at %s: start one with `aimass serve`, or name another with %s", server, flag)
}

func newModelsCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "models",
		Short: "List, load, push, pull, promote and roll back the models of a running server",
		Args:  cobra.NoArgs,
	}
	r.flags(c)
	c.AddCommand(newModelsListCommand(r), newModelsShowCommand(r), newModelsStatsCommand(r), newModelsLoadCommand(r), newModelsUnloadCommand(r),
		newModelsPushCommand(r), newModelsPullCommand(r), newModelsReleaseCommand(r), newModelsPromoteCommand(r), newModelsRollbackCommand(r),
		newModelsAliasCommand(r), newModelsCanaryCommand(r), newModelsShadowCommand(r), newModelsHistoryCommand(r), newModelsDiffCommand(r))
	return c
}

func newModelsListCommand(r *remote) *cobra.Command {
	var ready, asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the models that the server knows, and their states",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				list, err := c.Index(ctx, ready)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), list)
				}
				t := newTable(cmd.OutOrStdout(), "model", "version", "state", "reason")
				for _, m := range list {
					t.row(m.Name, orDash(m.Version), m.State, m.Reason)
				}
				t.flush()
				return nil
			})
		},
	}
	c.Flags().BoolVar(&ready, "ready", false, "only models that serve")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return c
}

func newModelsShowCommand(r *remote) *cobra.Command {
	var version string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show MODEL",
		Short: "Show a model's inputs, outputs, versions and configuration",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				m, err := c.ModelMetadata(ctx, args[0], version)
				if err != nil {
					return err
				}
				cfg, err := c.ModelConfig(ctx, args[0], version)
				if err != nil {
					return err
				}
				text, err := protojson.MarshalOptions{Multiline: true, Indent: "  ", UseProtoNames: true}.Marshal(cfg)
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				if asJSON {
					return writeJSON(w, map[string]any{"metadata": m, "config": rawJSON(text)})
				}
				showModel(w, m)
				fmt.Fprintf(w, "configuration\n%s\n", text)
				return nil
			})
		},
	}
	c.Flags().StringVar(&version, "version", "", "a version (default: the one that the server chooses)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// rawJSON is JSON that is written as it is.
type rawJSON []byte

// MarshalJSON returns the text itself.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

func showModel(w io.Writer, m *client.ModelMetadata) {
	fmt.Fprintf(w, "%s, platform %s, versions %s\n", m.Name, orDash(m.Platform), strings.Join(m.Versions, ", "))
	t := newTable(w, "", "name", "type", "shape")
	for _, p := range m.Inputs {
		t.row("input", p.Name, string(p.DType), fmt.Sprint(p.Shape))
	}
	for _, p := range m.Outputs {
		t.row("output", p.Name, string(p.DType), fmt.Sprint(p.Shape))
	}
	t.flush()
}

func newModelsStatsCommand(r *remote) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "stats [MODEL]",
		Short: "Show how many requests models have served, and how long they took",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				model := ""
				if len(args) == 1 {
					model = args[0]
				}
				list, err := c.Statistics(ctx, model, "")
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), list)
				}
				t := newTable(cmd.OutOrStdout(), "model", "version", "ok", "failed", "cached", "rows", "batches", "mean", "queued", "computed", "last")
				for _, s := range list {
					i := &s.InferenceStats
					last := "never"
					if s.LastInference > 0 {
						last = time.UnixMilli(int64(s.LastInference)).Format(time.DateTime)
					}
					t.row(s.Name, s.Version, count(i.Success), count(i.Fail), count(i.CacheHit), fmt.Sprint(s.InferenceCount), fmt.Sprint(s.ExecutionCount),
						mean(i.Success), mean(i.Queue), mean(i.ComputeInfer), last)
				}
				t.flush()
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return c
}

func count(d client.Duration) string { return strconv.FormatUint(d.Count, 10) }

func mean(d client.Duration) string {
	if d.Count == 0 {
		return "-"
	}
	return time.Duration(d.NS / d.Count).Round(time.Microsecond).String()
}

func newModelsLoadCommand(r *remote) *cobra.Command {
	var config string
	var files []string
	c := &cobra.Command{
		Use:   "load MODEL",
		Short: "Load a model from the server's repository, or anew; the old version serves until the new one is ready",
		Args:  cobra.ExactArgs(1),
		Example: `  aimass models load appt-noshow
  aimass models load trial --config '{"backend":"onnxruntime"}' --file 1/model.onnx=model.onnx`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := loadOptions(config, files)
			if err != nil {
				return err
			}
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				if err := c.Load(ctx, args[0], o); err != nil {
					return err
				}
				return tellState(ctx, cmd.OutOrStdout(), c, args[0])
			})
		},
	}
	c.Flags().StringVar(&config, "config", "", "a configuration in JSON that replaces the one in the repository")
	c.Flags().StringArrayVar(&files, "file", nil, "a file of this machine to load instead of the repository's, as 1/model.onnx=PATH; needs --config")
	return c
}

func loadOptions(config string, files []string) (*client.LoadOptions, error) {
	o := &client.LoadOptions{Config: config}
	if len(files) > 0 && config == "" {
		return nil, errors.New("--file needs --config, at least --config '{}'")
	}
	for _, f := range files {
		name, path, ok := strings.Cut(f, "=")
		if !ok || name == "" || path == "" {
			return nil, fmt.Errorf("--file %q: expected 1/model.onnx=PATH", f)
		}
		b, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		if o.Files == nil {
			o.Files = map[string][]byte{}
		}
		o.Files[name] = b
	}
	return o, nil
}

// tellState prints the versions of one model, ready ones first.
func tellState(ctx context.Context, w io.Writer, c *client.Client, model string) error {
	list, err := c.Index(ctx, false)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(m client.ModelState) bool { return m.Name != model })
	if len(list) == 0 {
		fmt.Fprintf(w, "%s is not in the repository's index\n", model)
		return nil
	}
	for _, m := range list {
		line := fmt.Sprintf("%s version %s: %s", m.Name, orDash(m.Version), m.State)
		if m.Reason != "" {
			line += ", " + m.Reason
		}
		fmt.Fprintln(w, line)
	}
	return nil
}

func newModelsUnloadCommand(r *remote) *cobra.Command {
	var dependents bool
	c := &cobra.Command{
		Use:   "unload MODEL",
		Short: "Unload a model; requests in flight are answered first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				if err := c.Unload(ctx, args[0], dependents); err != nil {
					return err
				}
				return tellState(ctx, cmd.OutOrStdout(), c, args[0])
			})
		},
	}
	c.Flags().BoolVar(&dependents, "dependents", false, "unload the models that an ensemble is made of, too")
	return c
}
