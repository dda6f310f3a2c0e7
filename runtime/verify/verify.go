package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/tensor"
)

// Outcome of one case.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is what came of one case. Reason says why it failed or was skipped.
type Result struct {
	Case    string  `json:"case"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
}

// Case is one model with its data; Light marks the form without a data folder.
type Case struct {
	Name  string
	Model string
	Dir   string
	Light bool
}

// Find lists the cases under dir, itself included, sorted by path.
func Find(dir string) ([]Case, error) {
	var out []Case
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			model := filepath.Join(p, "model.onnx")
			sets, _ := filepath.Glob(filepath.Join(p, "test_data_set_*"))
			if _, err := os.Stat(model); err == nil || len(sets) > 0 {
				out = append(out, Case{Name: filepath.Base(p), Model: model, Dir: p})
				return nil
			}
			return nil
		}
		if strings.HasPrefix(name, "light_") && strings.HasSuffix(name, ".onnx") {
			out = append(out, Case{Name: strings.TrimSuffix(name, ".onnx"), Model: p, Dir: filepath.Dir(p), Light: true})
		}
		return nil
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Model < out[j].Model })
	return out, err
}

// tolerance of a comparison: |got − want| ≤ ATol + RTol·|want|.
type tolerance struct {
	RTol float64 `json:"rtol"`
	ATol float64 `json:"atol"`
}

// Run runs one case.
func Run(e *runtime.Engine, c Case) Result {
	if why := skips[c.Name]; why != "" {
		return Result{c.Name, Skipped, why}
	}
	if err := run(e, c); err != nil {
		return Result{c.Name, Failed, err.Error()}
	}
	return Result{c.Name, Passed, ""}
}

func run(e *runtime.Engine, c Case) error {
	if _, err := os.Stat(c.Model); err != nil {
		return fmt.Errorf("data without a model.onnx")
	}
	m, err := e.Open(c.Model)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer m.Close()
	tol := tolerance{1e-3, 1e-7}
	if b, err := os.ReadFile(filepath.Join(c.Dir, "tolerance.json")); err == nil && !c.Light {
		if err := json.Unmarshal(b, &tol); err != nil {
			return fmt.Errorf("tolerance.json: %w", err)
		}
	}
	if c.Light {
		return runLight(m, c, tol)
	}
	sets, _ := filepath.Glob(filepath.Join(c.Dir, "test_data_set_*"))
	if len(sets) == 0 {
		return fmt.Errorf("a model without test_data_set_N")
	}
	for _, s := range sets {
		if err := runSet(m, s, tol); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(s), err)
		}
	}
	return nil
}

func runSet(m *runtime.Model, dir string, tol tolerance) error {
	in := make([]tensor.Value, 0, len(m.Inputs))
	for i, p := range m.Inputs {
		v, err := load(filepath.Join(dir, fmt.Sprintf("input_%d.pb", i)), p.Type)
		if err != nil {
			return fmt.Errorf("input %d (%s): %w", i, p.Name, err)
		}
		in = append(in, v)
	}
	want := make([]tensor.Value, 0, len(m.Outputs))
	for i, p := range m.Outputs {
		v, err := load(filepath.Join(dir, fmt.Sprintf("output_%d.pb", i)), p.Type)
		if err != nil {
			return fmt.Errorf("output %d (%s): %w", i, p.Name, err)
		}
		want = append(want, v)
	}
	return compareRun(m, in, want, tol)
}

func compareRun(m *runtime.Model, in, want []tensor.Value, tol tolerance) error {
	for i := range in {
		if err := m.Check(i, in[i]); err != nil {
			return err
		}
	}
	call := &device.Call{In: in}
	if err := m.Run(context.Background(), call); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	defer call.Release()
	for i, w := range want {
		if err := compare(call.Out[i], w, tol, random(m, i)); err != nil {
			return fmt.Errorf("output %d (%s): %w", i, m.Outputs[i].Name, err)
		}
	}
	return nil
}

// random reports whether an output comes straight from a generator whose draws the
// standard does not fix: then only type and shape are compared.
func random(m *runtime.Model, i int) bool {
	for _, n := range m.Graph.Nodes {
		if n.Op == "Bernoulli" || n.Op == "RandomUniformLike" {
			return true
		}
	}
	return false
}

// runLight feeds arange(n)/n to the one input, as the standard's runner does.
func runLight(m *runtime.Model, c Case, tol tolerance) error {
	if len(m.Inputs) != 1 {
		return fmt.Errorf("%d inputs, expected 1", len(m.Inputs))
	}
	shape := tensor.Shape{}
	for _, d := range m.Inputs[0].Shape() {
		shape = append(shape, int(max(d, 1)))
	}
	x := tensor.New(tensor.Float32, shape)
	v := tensor.Data[float32](x)
	for i := range v {
		v[i] = float32(i) / float32(len(v))
	}
	want, err := load(filepath.Join(c.Dir, c.Name+"_output_0.pb"), m.Outputs[0].Type)
	if err != nil {
		return err
	}
	return compareRun(m, []tensor.Value{x}, []tensor.Value{want}, tol)
}

func load(path string, t graph.Type) (tensor.Value, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s is missing", filepath.Base(path))
	}
	return onnx.ReadValue(t, b)
}
