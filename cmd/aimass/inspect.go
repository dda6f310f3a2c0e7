package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/repository/release"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/feed"
	"github.com/aimass/aimass/runtime/inspect"
)

func newInspectCommand() *cobra.Command {
	var devices, graph, asJSON bool
	var shapes []string
	c := &cobra.Command{
		Use:   "inspect MODEL.onnx | DIR",
		Short: "Show what a model computes, how it runs, what was fused and what is batched",
		Long: `Show a model's inputs, outputs, operators and work, the plan of the CPU for given
shapes (what was fused, what runs on kernels and what on plain Go, memory), and
whether requests may be batched and why. DIR is a model's folder, or a whole
repository, which gives a table of its models. Exit status 1 if a model does not
load; the message names the node and says why.`,
		Example: "  aimass inspect model.onnx --shape input_ids=1x128 --shape attention_mask=1x128\n  aimass inspect build/models",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given, err := feed.ParseShapes(shapes)
			if err != nil {
				return err
			}
			path, single, err := modelFile(args[0])
			if err != nil {
				return err
			}
			engine := runtime.NewEngine(runtime.Config{Natives: natives(nil)})
			w := cmd.OutOrStdout()
			if !single {
				if len(shapes) > 0 || devices || graph {
					return fmt.Errorf("%s is a repository: --shape, --devices and --graph are for one model, such as %s", args[0], filepath.Join(args[0], "MODEL"))
				}
				return inspectRepository(cmd, engine, path, asJSON)
			}
			o := inspect.Options{Shapes: given}
			var text strings.Builder
			if graph {
				o.Graph = &text
			}
			r, err := inspect.File(engine, path, o)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if asJSON {
				return writeJSON(w, struct {
					*inspect.Report
					Graph string `json:"graph,omitempty"`
				}{r, text.String()})
			}
			writeReport(w, r)
			if devices {
				writePlacements(w, r)
				if err := writeGPUs(w, path, r); err != nil {
					return err
				}
			}
			if graph {
				fmt.Fprintf(w, "\ngraph after the passes\n%s", text.String())
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&devices, "devices", false, "list where each node runs, and through which kernel; and how the model would lie on this machine's GPUs")
	f.BoolVar(&graph, "graph", false, "print the graph after the passes, one node a line")
	f.StringArrayVar(&shapes, "shape", nil, "an input's shape as name=1x128; repeat for each input (default: what the model declares, open extents assumed)")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// modelFile finds the file that an argument means; single is false for a repository.
func modelFile(arg string) (path string, single bool, err error) {
	st, err := os.Stat(arg)
	if err != nil {
		return "", false, fmt.Errorf("%s: %w: expected an ONNX file or a folder", arg, errors.Unwrap(err))
	}
	if !st.IsDir() {
		return arg, true, nil
	}
	if file := filepath.Join(arg, "model.onnx"); isFile(file) {
		return file, true, nil
	}
	entries, err := os.ReadDir(arg)
	if err != nil {
		return "", false, err
	}
	newest := int64(0)
	for _, e := range entries {
		if n, err := strconv.ParseInt(e.Name(), 10, 64); err == nil && n > newest && isFile(filepath.Join(arg, e.Name(), "model.onnx")) {
			newest = n
		}
	}
	if newest > 0 {
		return filepath.Join(arg, strconv.FormatInt(newest, 10), "model.onnx"), true, nil
	}
	return arg, false, nil
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().Type()&fs.ModeType == 0
}

func writeReport(w io.Writer, r *inspect.Report) {
	line := func(what, format string, a ...any) { fmt.Fprintf(w, "  %-11s %s\n", what, fmt.Sprintf(format, a...)) }
	fmt.Fprintln(w, r.Model)
	producer := r.Producer
	if producer == "" {
		producer = "not told"
	}
	var opsets []string
	for _, d := range slices.Sorted(maps.Keys(r.Opsets)) {
		opsets = append(opsets, fmt.Sprintf("%s %d", domainName(d), r.Opsets[d]))
	}
	line("producer", "%s, IR %d, opsets: %s", producer, r.IR, strings.Join(opsets, ", "))
	assumed := false
	for _, list := range []struct {
		what  string
		ports []inspect.Port
	}{{"input", r.Inputs}, {"output", r.Outputs}} {
		for _, p := range list.ports {
			shape := "depends on data"
			if p.Shape != nil {
				shape = p.Shape.String()
			}
			if p.Assumed {
				assumed = true
				shape += " assumed"
			}
			line(list.what, "%s: %s, here %s", p.Name, p.Type, shape)
		}
	}
	if assumed {
		line("", "give --shape for inputs whose shape is assumed; what follows depends on it")
	}
	line("parameters", "%s; weights %s mapped from the file, %s in packed copies", grouped(r.Parameters), bytesText(r.WeightsMapped), bytesText(r.WeightsOwned))
	line("work", "%s MACs, %s FLOPs", amount(r.Work.MACs), amount(r.Work.FLOPs))
	for _, u := range r.Work.Uncounted {
		line("", "not counted: %s", u)
	}
	p := &r.Plan
	total := p.Fast + p.View + p.Eval + p.Folded
	line("plan", "%d nodes in %d steps: %d on kernels, %d only change the shape, %d in plain Go, %d constant", total, p.Steps, p.Fast, p.View, p.Eval, p.Folded)
	if p.Later > 0 {
		line("", "besides %d nodes behind shapes that depend on data, planned when those are known", p.Later)
	}
	if p.Nested > 0 {
		line("", "besides %d nodes in nested graphs, planned when they run", p.Nested)
	}
	line("memory", "%s a run in flight", bytesText(int64(p.ArenaBytes)))
	if r.Batch.Rows {
		line("batching", "requests share a batch: %s", r.Batch.Reason)
	} else {
		line("batching", "one request at a time: %s", r.Batch.Reason)
	}
	line("ragged", "%s", r.Batch.Ragged)
	if n := r.Spread.Cores; n > 1 {
		line("cores", "up to %d work on one batch together: %s", n, r.Spread.Reason)
	} else {
		line("cores", "each works on a batch of its own: %s", r.Spread.Reason)
	}
	fmt.Fprintln(w)
	t := newTable(w, "operator", "nodes", "on kernels", "shape only", "plain Go")
	for _, o := range r.Operators {
		t.row(o.Name, blank(o.Count), blank(o.Fast), blank(o.View), blank(o.Eval))
	}
	t.flush()
	if fused := p.Fusions(); len(fused) > 0 {
		fmt.Fprintln(w)
		t := newTable(w, "fused", "kernel: nodes that one step replaces")
		for _, c := range fused {
			t.row(fmt.Sprint(c.Count), c.Name)
		}
		t.flush()
	}
}

// blank prints a number, nothing for 0.
func blank(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func writePlacements(w io.Writer, r *inspect.Report) {
	t := newTable(w, "node", "operator", "device", "path", "kernel")
	for _, at := range r.Where {
		t.row(at.Node, at.Operator, orDash(at.Device), at.Path, orDash(at.Kernel))
	}
	fmt.Fprintln(w)
	t.flush()
}

// modelRow is one version in the table of a repository.
type modelRow struct {
	Model         string `json:"model"`
	Version       int64  `json:"version"`
	State         string `json:"state"`
	Reason        string `json:"reason,omitempty"`
	Inputs        int    `json:"inputs"`
	Outputs       int    `json:"outputs"`
	Nodes         int    `json:"nodes"`
	MaxBatch      int    `json:"max_batch"`
	Batch         string `json:"batch"`
	WeightsOwned  int64  `json:"weights_owned_bytes"`
	WeightsMapped int64  `json:"weights_mapped_bytes"`
	LoadMS        int64  `json:"load_ms"`
}

// keeper hears of versions as they come and remembers what the table shows of them.
type keeper struct {
	mu   sync.Mutex
	seen map[string]*repository.Version
}

func versionKey(model string, n int64) string { return fmt.Sprintf("%s/%d", model, n) }

func (k *keeper) Ready(v *repository.Version) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen[versionKey(v.Model, v.Number)] = v
	return nil
}

func (k *keeper) Gone(*repository.Version) {}

func (k *keeper) Release(string, *release.State) {}

// inspectRepository loads every model as a server would, without warm-up, and shows them.
func inspectRepository(cmd *cobra.Command, engine *runtime.Engine, dir string, asJSON bool) error {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	repo, err := repository.New(repository.Config{Dir: dir, WarmupOff: true}.WithDefaults(), engine, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	k := &keeper{seen: map[string]*repository.Version{}}
	repo.SetListener(k)
	if err := repo.LoadAll(ctx); err != nil {
		return err
	}
	rows, failed := tableRows(repo, k)
	if len(rows) == 0 {
		err = fmt.Errorf("%s holds no models: expected MODEL/VERSION/model.onnx beneath it", dir)
	} else if asJSON {
		err = writeJSON(cmd.OutOrStdout(), rows)
	} else {
		writeRows(cmd.OutOrStdout(), rows)
	}
	if failed > 0 && err == nil {
		err = fmt.Errorf("%d of %d versions do not load; `aimass inspect MODEL.onnx` tells more of one", failed, len(rows))
	}
	return errors.Join(err, repo.Close(ctx))
}

func tableRows(repo *repository.Repository, k *keeper) (rows []modelRow, failed int) {
	for _, e := range repo.Index() {
		row := modelRow{Model: e.Name, Version: e.Version, State: e.State.String(), Reason: e.Reason}
		if v := k.seen[versionKey(e.Name, e.Version)]; v != nil && e.State == repository.Ready {
			row.Inputs, row.Outputs = len(v.Runtime.Inputs), len(v.Runtime.Outputs)
			row.MaxBatch, row.Batch = v.Config.MaxBatch, v.Runtime.Batch.Reason
			row.WeightsOwned, row.WeightsMapped = v.Runtime.WeightBytes()
			row.LoadMS = v.LoadDuration.Milliseconds()
			if v.Runtime.Graph != nil {
				row.Nodes = len(v.Runtime.Graph.Nodes)
			}
		} else {
			failed++
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b modelRow) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Version, b.Version))
	})
	return rows, failed
}

func writeRows(w io.Writer, rows []modelRow) {
	t := newTable(w, "model", "version", "state", "in", "out", "nodes", "max batch", "weights", "batching, or why it failed")
	for _, r := range rows {
		why := r.Batch
		if r.Reason != "" {
			why = r.Reason
		}
		t.row(r.Model, fmt.Sprint(r.Version), r.State, fmt.Sprint(r.Inputs), fmt.Sprint(r.Outputs), fmt.Sprint(r.Nodes), fmt.Sprint(r.MaxBatch),
			bytesText(r.WeightsMapped+r.WeightsOwned), why)
	}
	t.flush()
}
