package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/client"
)

// showRelease prints what is decided about a model.
func showRelease(w io.Writer, rel *client.Release) {
	if g := rel.Gate; g != nil {
		fmt.Fprintf(w, "gate passed: %s %.6g against %.6g on %d rows, better by %+.4g (%+.4g to %+.4g at %.0f %%), -%.4g allowed\n",
			g.Metric, g.Candidate, g.Stable, g.Rows, g.Better, g.Low, g.High, 100*g.Confidence, g.Margin)
	}
	t := newTable(w, "version", "state", "names", "requests", "failed", "p50", "p99", "pushed", "reason")
	for _, v := range rel.Versions {
		pushed := "-"
		if v.Pushed != nil {
			pushed = v.Pushed.Local().Format(time.DateTime)
		}
		t.row(fmt.Sprint(v.Version), v.State, orDash(strings.Join(namesOf(rel, v.Version), ", ")), fmt.Sprint(v.Requests), fmt.Sprint(v.Failures),
			fmt.Sprintf("%.3g ms", v.P50MS), fmt.Sprintf("%.3g ms", v.P99MS), pushed, v.Reason)
	}
	t.flush()
	if s := rel.Shadow; s != nil {
		fmt.Fprintf(w, "shadow: %d answers compared, %d differ by more than %g (at most %.3g), %d failed, %d dropped; p50 %.3g ms against %.3g ms\n",
			s.Mirrored, s.Differing, s.Tolerance, s.MaxDifference, s.Failed, s.Dropped, s.ShadowP50MS, s.ServedP50MS)
	}
}

// namesOf lists what a version is called, with its share of the requests.
func namesOf(rel *client.Release, v int64) []string {
	var names []string
	if rel.Stable == v {
		names = append(names, "stable")
	}
	if rel.Canary != nil && rel.Canary.Version == v {
		names = append(names, fmt.Sprintf("canary %g %%", rel.Canary.Percent))
	}
	if rel.Shadow != nil && rel.Shadow.Version == v {
		names = append(names, fmt.Sprintf("shadow %g %%", rel.Shadow.Percent))
	}
	if rel.Previous == v {
		names = append(names, "previous")
	}
	var aliases []string
	for name, n := range rel.Aliases {
		if n == v {
			aliases = append(aliases, name)
		}
	}
	slices.Sort(aliases)
	return append(names, aliases...)
}

// releaseCommand is a command that answers with a model's release.
func releaseCommand(r *remote, c *cobra.Command, call func(ctx context.Context, c *client.Client, args []string) (*client.Release, error)) *cobra.Command {
	asJSON := c.Flags().Bool("json", false, "print one JSON object")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return r.do(cmd, func(ctx context.Context, cl *client.Client) error {
			rel, err := call(ctx, cl, args)
			if err != nil {
				return err
			}
			if *asJSON {
				return writeJSON(cmd.OutOrStdout(), rel)
			}
			showRelease(cmd.OutOrStdout(), rel)
			return nil
		})
	}
	return c
}

// argument gives an argument that may be left out.
func argument(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

func newModelsReleaseCommand(r *remote) *cobra.Command {
	return releaseCommand(r, &cobra.Command{
		Use:   "release MODEL",
		Short: "Show which version is stable, canary or shadow, and how each does",
		Args:  cobra.ExactArgs(1),
	}, func(ctx context.Context, c *client.Client, args []string) (*client.Release, error) {
		return c.Release(ctx, args[0])
	})
}

func newModelsPromoteCommand(r *remote) *cobra.Command {
	var holdout, metric, output string
	var margin, confidence float64
	var force bool
	c := &cobra.Command{
		Use:   "promote MODEL [VERSION]",
		Short: "Make a version the one that answers, if it does no worse on held-out rows",
		Long: "Make a version the one that answers: by default the canary. The held-out set is a JSON file of inputs as in an\n" +
			"inference request, \"labels\", one a row, and a \"metric\" (accuracy, auc, brier, logloss, mae, rmse); without --holdout it is\n" +
			"holdout.json of the model's folder on the server, if that is there. The candidate may be worse by no more than the\n" +
			"margin, at the lower end of a bootstrap interval of the difference.",
		Args: cobra.RangeArgs(1, 2),
	}
	c.Flags().StringVar(&holdout, "holdout", "", "a JSON file with inputs, labels and metric")
	c.Flags().StringVar(&metric, "metric", "", "the metric, if the file names none or another")
	c.Flags().StringVar(&output, "output", "", "the output to measure, where the model has several")
	c.Flags().Float64Var(&margin, "margin", -1, "by how much the candidate may be worse; below 0: a hundredth of the figure of what serves")
	c.Flags().Float64Var(&confidence, "confidence", 0.95, "confidence of the interval")
	c.Flags().BoolVar(&force, "force", false, "promote without a gate")
	return releaseCommand(r, c, func(ctx context.Context, cl *client.Client, args []string) (*client.Release, error) {
		p := client.Promotion{Version: argument(args, 1), Force: force}
		if holdout != "" {
			b, err := os.ReadFile(holdout)
			if err != nil {
				return nil, fmt.Errorf("--holdout: %w", err)
			}
			p.Gate = &client.Gate{}
			if err := json.Unmarshal(b, p.Gate); err != nil {
				return nil, fmt.Errorf("--holdout %s: %w", holdout, err)
			}
			p.Gate.Confidence = confidence
			if metric != "" {
				p.Gate.Metric = metric
			}
			if output != "" {
				p.Gate.Output = output
			}
			if margin >= 0 {
				p.Gate.Margin = &margin
			}
		}
		return cl.Promote(ctx, args[0], p)
	})
}

func newModelsRollbackCommand(r *remote) *cobra.Command {
	return releaseCommand(r, &cobra.Command{
		Use:   "rollback MODEL",
		Short: "End a canary, or make the version answer again that did before",
		Args:  cobra.ExactArgs(1),
	}, func(ctx context.Context, c *client.Client, args []string) (*client.Release, error) {
		return c.Rollback(ctx, args[0])
	})
}

func newModelsAliasCommand(r *remote) *cobra.Command {
	return releaseCommand(r, &cobra.Command{
		Use:   "alias MODEL NAME [VERSION]",
		Short: "Give a version a name for requests to use; without a version, take the name away",
		Args:  cobra.RangeArgs(2, 3),
	}, func(ctx context.Context, c *client.Client, args []string) (*client.Release, error) {
		return c.SetAlias(ctx, args[0], args[1], argument(args, 2))
	})
}

func newModelsCanaryCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:   "canary MODEL [VERSION]",
		Short: "Give a version a share of the requests that name none; without a version, end the canary",
		Args:  cobra.RangeArgs(1, 2),
	}
	percent := c.Flags().Float64("percent", 5, "the share, 0 to 100")
	return releaseCommand(r, c, func(ctx context.Context, c *client.Client, args []string) (*client.Release, error) {
		return c.SetCanary(ctx, args[0], argument(args, 1), ifGiven(args, *percent))
	})
}

// ifGiven is the share of the version that the arguments name, 0 if they name none.
func ifGiven(args []string, percent float64) float64 {
	if len(args) < 2 {
		return 0
	}
	return percent
}

func newModelsShadowCommand(r *remote) *cobra.Command {
	c := &cobra.Command{
		Use:   "shadow MODEL [VERSION]",
		Short: "Send a version copies of requests and compare its answers; without a version, end that",
		Args:  cobra.RangeArgs(1, 2),
	}
	percent := c.Flags().Float64("percent", 10, "the share of the stable version's requests, 0 to 100")
	tolerance := c.Flags().Float64("tolerance", 1e-3, "relative difference up to which numbers count as equal")
	return releaseCommand(r, c, func(ctx context.Context, c *client.Client, args []string) (*client.Release, error) {
		return c.SetShadow(ctx, args[0], argument(args, 1), ifGiven(args, *percent), *tolerance)
	})
}

func newModelsHistoryCommand(r *remote) *cobra.Command {
	var limit int
	var asJSON bool
	c := &cobra.Command{
		Use:   "history MODEL",
		Short: "List what was done to a model's versions, the latest first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				list, err := c.History(ctx, args[0], limit)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), list)
				}
				t := newTable(cmd.OutOrStdout(), "no", "time", "action", "version", "from", "detail", "request")
				for _, e := range list {
					t.row(fmt.Sprint(e.Seq), e.Time.Local().Format(time.DateTime), e.Action, numberOrDash(e.Version), numberOrDash(e.From), orDash(detail(&e)), orDash(e.RequestID))
				}
				t.flush()
				return nil
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", 50, "how many entries, at most 1000")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return c
}

func numberOrDash(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// detail is what an entry of the history says besides versions.
func detail(e *client.Event) string {
	switch {
	case e.Alias != "":
		return e.Alias
	case e.Gate != nil:
		return fmt.Sprintf("%s %.4g, was %.4g (%+.3g to %+.3g)", e.Gate.Metric, e.Gate.Candidate, e.Gate.Stable, e.Gate.Low, e.Gate.High)
	case e.Forced:
		return "without a gate"
	case e.Action == "canary" || e.Action == "shadow":
		return fmt.Sprintf("%g %%", e.Percent)
	}
	return ""
}

func newModelsDiffCommand(r *remote) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff MODEL FROM TO",
		Short: "Show what two versions' model cards and files say differently",
		Args:  cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.do(cmd, func(ctx context.Context, c *client.Client) error {
				d, err := c.Diff(ctx, args[0], args[1], args[2])
				if err != nil {
					return err
				}
				w := cmd.OutOrStdout()
				if asJSON {
					return writeJSON(w, d)
				}
				if len(d.Card)+len(d.Files) == 0 {
					fmt.Fprintf(w, "versions %d and %d are the same\n", d.From, d.To)
					return nil
				}
				t := newTable(w, "where", fmt.Sprintf("version %d", d.From), fmt.Sprintf("version %d", d.To))
				for _, x := range d.Card {
					t.row(x.Path, shown(x.From), shown(x.To))
				}
				for _, f := range d.Files {
					t.row(f.Path, shownFile(f.FromSHA256, f.FromSize), shownFile(f.ToSHA256, f.ToSize))
				}
				t.flush()
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func shown(v any) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(v)
}

func shownFile(sha string, size int64) string {
	if sha == "" {
		return "-"
	}
	return fmt.Sprintf("%d bytes, %s", size, sha[:min(len(sha), 12)])
}
