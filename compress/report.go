package compress

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/inspect"
	"github.com/aimass/aimass/runtime/tensor"
)

// Report is what compression did and what it cost.
type Report struct {
	Model  string   `json:"model"`
	File   string   `json:"file"`
	Steps  []string `json:"steps"`
	Before Side     `json:"before"`
	After  Side     `json:"after"`
	// Outputs compares each output over all sets of inputs.
	Outputs []Output `json:"outputs"`
	// Metric is the task's, where labels were given.
	Metric *Metric `json:"metric,omitempty"`
	Sets   int     `json:"input_sets"`
}

// Side is one of the two models.
type Side struct {
	FileBytes   int64 `json:"file_bytes"`
	Parameters  int64 `json:"parameters"`
	Zeros       int64 `json:"zero_parameters"`
	WeightBytes int64 `json:"weight_bytes"` // in memory, packed copies included
	FLOPs       int64 `json:"flops"`        // for the first set of inputs
	BestNS      int64 `json:"best_ns"`      // of a run with it, in process
	P50NS       int64 `json:"p50_ns"`
}

// Output compares one output with the original's.
type Output struct {
	Name       string  `json:"name"`
	MaxError   float64 `json:"max_error"`
	MeanCosine float64 `json:"mean_cosine"`
	MinCosine  float64 `json:"min_cosine"`
}

// Metric is a figure of the task, greater is better.
type Metric struct {
	Name   string  `json:"name"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// compare fills the report in.
func (r *Report) compare(e *env, before, after *runtime.Model, labels []float64, threads int, fileBefore, fileAfter int64) error {
	r.Sets = len(e.data)
	r.Before.FileBytes, r.After.FileBytes = fileBefore, fileAfter
	for _, s := range []struct {
		m    *runtime.Model
		side *Side
	}{{before, &r.Before}, {after, &r.After}} {
		in := feedFor(s.m, before, e.data[0])
		s.side.Parameters, s.side.Zeros = parameters(s.m)
		w, err := inspect.Of(s.m, in)
		if err != nil {
			return err
		}
		s.side.FLOPs = w.FLOPs
		if s.side.BestNS, s.side.P50NS, err = timing(e, s.m, in, max(threads, 1)); err != nil {
			return err
		}
		owned, mapped := s.m.WeightBytes()
		s.side.WeightBytes = owned + mapped
	}
	var scoresBefore, scoresAfter []*tensor.Tensor
	acc := make([]cosines, len(after.Outputs))
	for _, set := range e.data {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		want, err := answers(e, before, set)
		if err != nil {
			return fmt.Errorf("the original: %w", err)
		}
		got, err := answers(e, after, feedFor(after, before, set))
		if err != nil {
			return fmt.Errorf("the compressed model: %w", err)
		}
		for i, p := range after.Outputs {
			w := want[slices.IndexFunc(before.Outputs, func(q runtime.Port) bool { return q.Name == p.Name })]
			if err := acc[i].add(got[i], w); err != nil {
				return fmt.Errorf("output %q: %w", p.Name, err)
			}
		}
		if labels != nil {
			first := slices.IndexFunc(before.Outputs, func(q runtime.Port) bool { return q.Name == after.Outputs[0].Name })
			scoresBefore, scoresAfter = append(scoresBefore, want[first]), append(scoresAfter, got[0])
		}
	}
	for i, p := range after.Outputs {
		r.Outputs = append(r.Outputs, acc[i].output(p.Name))
	}
	if labels != nil {
		var err error
		if r.Metric, err = metric(labels, scoresBefore, scoresAfter); err != nil {
			return err
		}
	}
	return nil
}

// feedFor picks the inputs of m from a set for the original, by name: cropping may have
// dropped some.
func feedFor(m, original *runtime.Model, set []input) []input {
	in := make([]input, len(m.Inputs))
	for i, p := range m.Inputs {
		in[i] = set[slices.IndexFunc(original.Inputs, func(q runtime.Port) bool { return q.Name == p.Name })]
	}
	return in
}

// answers runs a model once and keeps its tensors; other kinds of output are nil.
func answers(e *env, m *runtime.Model, in []input) ([]*tensor.Tensor, error) {
	call := &device.Call{In: in}
	if err := m.Run(e.ctx, call); err != nil {
		return nil, err
	}
	defer call.Release()
	out := make([]*tensor.Tensor, len(call.Out))
	for i, v := range call.Out {
		if t, ok := v.(*tensor.Tensor); ok {
			out[i] = t.Clone()
		}
	}
	return out, nil
}

// cosines gathers how two outputs compare: one cosine a set, over all elements.
type cosines struct {
	worst, sum, least float64
	n                 int
}

func (c *cosines) add(got, want *tensor.Tensor) error {
	if got == nil || want == nil || got.DType == tensor.String || want.DType == tensor.String {
		return nil
	}
	a, err := tensor.Float64s(got)
	if err != nil {
		return nil // complex numbers are not compared
	}
	b, err := tensor.Float64s(want)
	if err != nil {
		return nil
	}
	if len(a) != len(b) {
		return fmt.Errorf("the compressed model gives shape %v, the original %v", got.Shape, want.Shape)
	}
	var ab, aa, bb float64
	for i := range a {
		d := math.Abs(a[i] - b[i])
		if math.IsNaN(d) && !(math.IsNaN(a[i]) && math.IsNaN(b[i])) && a[i] != b[i] {
			d = math.Inf(1)
		}
		c.worst = max(c.worst, d)
		ab, aa, bb = ab+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	cos := 1.0
	if aa != bb || ab != aa {
		cos = ab / math.Sqrt(aa*bb)
	}
	if math.IsNaN(cos) {
		cos = 0
	}
	if c.n == 0 || cos < c.least {
		c.least = cos
	}
	c.sum += cos
	c.n++
	return nil
}

func (c *cosines) output(name string) Output {
	o := Output{Name: name, MaxError: c.worst, MeanCosine: 1, MinCosine: 1}
	if c.n > 0 {
		o.MeanCosine, o.MinCosine = c.sum/float64(c.n), c.least
	}
	return o
}

func parameters(m *runtime.Model) (n, zeros int64) {
	seen := map[*tensor.Tensor]bool{}
	for _, node := range m.Graph.Nodes {
		for _, v := range node.In {
			t := v.Tensor()
			if t == nil || seen[t] {
				continue
			}
			seen[t] = true
			n += int64(t.Elements())
			if f, _ := floats(v, -1); f != nil {
				for _, x := range f {
					if x == 0 {
						zeros++
					}
				}
			}
		}
		for _, name := range []string{"nodes_values", "target_weights", "class_weights"} {
			if a := node.Attrs[name]; a != nil {
				n += int64(len(a.Floats))
			}
		}
	}
	return n, zeros
}

// timing runs for up to half a second.
func timing(e *env, m *runtime.Model, in []input, threads int) (best, median int64, err error) {
	call := &device.Call{In: in, Threads: threads}
	var ns []int64
	for began := time.Now(); len(ns) < 4 || time.Since(began) < 500*time.Millisecond && len(ns) < 10000; {
		t := time.Now()
		if err := m.Run(e.ctx, call); err != nil {
			return 0, 0, err
		}
		ns = append(ns, int64(time.Since(t)))
		call.Release()
	}
	ns = ns[1:] // the first makes the plan
	slices.Sort(ns)
	return ns[0], ns[len(ns)/2], nil
}

// judge holds the report to the bar.
func (r *Report) judge(b Bar) error {
	for _, o := range r.Outputs {
		if b.MinCosine > 0 && o.MeanCosine < b.MinCosine {
			return &ErrBar{fmt.Sprintf("output %q has a mean cosine of %.5f with the original's, at least %.5f is asked for", o.Name, o.MeanCosine, b.MinCosine)}
		}
		if b.MaxError > 0 && !(o.MaxError <= b.MaxError) {
			return &ErrBar{fmt.Sprintf("output %q differs by up to %.3g, at most %.3g is asked for", o.Name, o.MaxError, b.MaxError)}
		}
	}
	if b.MaxLoss > 0 {
		if r.Metric == nil {
			return &ErrBar{"a bound on the task's metric needs labels"}
		}
		if loss := r.Metric.Before - r.Metric.After; !(loss <= b.MaxLoss) {
			return &ErrBar{fmt.Sprintf("%s fell from %.5f to %.5f, by at most %.5f is asked for", r.Metric.Name, r.Metric.Before, r.Metric.After, b.MaxLoss)}
		}
	}
	return nil
}

// JSON gives the report for programs.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// Text gives the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s → %s\n", r.Model, r.File)
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	fmt.Fprintf(&b, "\n%-22s %14s %14s %9s\n", "", "before", "after", "ratio")
	row := func(name string, x, y int64, unit float64, format string) {
		ratio := "–"
		if x != 0 {
			ratio = fmt.Sprintf("%.3f", float64(y)/float64(x))
		}
		fmt.Fprintf(&b, "%-22s %14s %14s %9s\n", name, fmt.Sprintf(format, float64(x)/unit), fmt.Sprintf(format, float64(y)/unit), ratio)
	}
	row("file, kB", r.Before.FileBytes, r.After.FileBytes, 1e3, "%.1f")
	row("parameters", r.Before.Parameters, r.After.Parameters, 1, "%.0f")
	row("zero among them", r.Before.Zeros, r.After.Zeros, 1, "%.0f")
	row("weights in memory, kB", r.Before.WeightBytes, r.After.WeightBytes, 1e3, "%.1f")
	row("work, MFLOP", r.Before.FLOPs, r.After.FLOPs, 1e6, "%.2f")
	row("a run, best, µs", r.Before.BestNS, r.After.BestNS, 1e3, "%.1f")
	row("a run, median, µs", r.Before.P50NS, r.After.P50NS, 1e3, "%.1f")
	fmt.Fprintf(&b, "\nanswers, over %d sets of inputs%22s %11s %11s\n", r.Sets, "max error", "mean cosine", "min cosine")
	for _, o := range r.Outputs {
		fmt.Fprintf(&b, "  %-40s %9.3g %11.6f %11.6f\n", o.Name, o.MaxError, o.MeanCosine, o.MinCosine)
	}
	if m := r.Metric; m != nil {
		fmt.Fprintf(&b, "%s against the labels: %.5f before, %.5f after\n", m.Name, m.Before, m.After)
	}
	return b.String()
}
