// Package model times one model in process: how long it takes to load and to run, and
// how much memory that costs. It is what `aimass bench model` prints, made to be compared
// with other engines run the same way.
package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/tensor"
)

// Options of a measurement.
type Options struct {
	Model    string
	Shapes   []string // name=1x128[:dtype], split at the last '='
	Inputs   string   // a test_data_set folder to take the inputs from instead
	Threads  int
	Duration time.Duration
}

// Result of a measurement; LoadNS covers reading, compiling and packing for the shapes.
type Result struct {
	Model   string `json:"model"`
	Threads int    `json:"threads"`
	ISA     string `json:"isa"`
	LoadNS  int64  `json:"load_ns"`
	BestNS  int64  `json:"best_ns"`
	P50NS   int64  `json:"p50_ns"`
	P99NS   int64  `json:"p99_ns"`
	Runs    int    `json:"runs"`
	PeakRSS int64  `json:"peak_rss_bytes"`
}

// maxSamples bounds the memory of a long run of a fast model.
const maxSamples = 1 << 20

// Run measures.
func Run(o Options) (*Result, error) {
	if o.Threads <= 0 {
		o.Threads = 1
	}
	began := time.Now()
	engine := runtime.NewEngine(runtime.Config{CPU: cpu.Config{Threads: o.Threads}})
	m, err := engine.Open(o.Model)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	opened := time.Since(began)
	in, err := inputs(m, o)
	if err != nil {
		return nil, err
	}
	began = time.Now()
	if err := m.Prepare(in); err != nil {
		return nil, err
	}
	r := &Result{Model: o.Model, Threads: o.Threads, ISA: isa.Current().Level.String(), LoadNS: int64(opened + time.Since(began))}
	call := &device.Call{In: in, Threads: o.Threads}
	ctx := context.Background()
	once := func() error {
		if err := m.Run(ctx, call); err != nil {
			return err
		}
		call.Release()
		return nil
	}
	if err := once(); err != nil {
		return nil, err
	}
	samples := make([]int64, 0, 1<<14)
	for end := time.Now().Add(o.Duration); time.Now().Before(end) || len(samples) < 3; {
		t := time.Now()
		if err := once(); err != nil {
			return nil, err
		}
		samples = append(samples, int64(time.Since(t)))
		if len(samples) == maxSamples {
			break
		}
	}
	sort.Slice(samples, func(i, j int) bool { return samples[i] < samples[j] })
	r.Runs, r.BestNS, r.P50NS, r.P99NS = len(samples), samples[0], samples[len(samples)/2], samples[len(samples)*99/100]
	r.PeakRSS = peakRSS()
	return r, nil
}

// peakRSS reads the process's high-water mark; 0 where the system does not tell.
func peakRSS() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, l := range strings.Split(string(b), "\n") {
		if f := strings.Fields(l); len(f) == 3 && f[0] == "VmHWM:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

func inputs(m *runtime.Model, o Options) ([]tensor.Value, error) {
	shapes, err := ParseShapes(o.Shapes)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var in []tensor.Value
	for i, p := range m.Inputs {
		if o.Inputs != "" {
			b, err := os.ReadFile(filepath.Join(o.Inputs, fmt.Sprintf("input_%d.pb", i)))
			if err != nil {
				return nil, fmt.Errorf("input %q: %w", p.Name, err)
			}
			v, err := onnx.ReadValue(p.Type, b)
			if err != nil {
				return nil, fmt.Errorf("input %q: %w", p.Name, err)
			}
			in = append(in, v)
			continue
		}
		s, given := shapes[p.Name]
		if !given {
			if s, err = defaultShape(p); err != nil {
				return nil, err
			}
		}
		delete(shapes, p.Name)
		t, err := Random(rng, p, s)
		if err != nil {
			return nil, err
		}
		if err := m.Check(i, t); err != nil {
			return nil, err
		}
		in = append(in, t)
	}
	for name := range shapes {
		return nil, fmt.Errorf("--shape %s: the model has no such input", name)
	}
	return in, nil
}

// ParseShapes reads shapes of the form name=1x128[:dtype], split at the last '='.
func ParseShapes(list []string) (map[string]tensor.Shape, error) {
	out := map[string]tensor.Shape{}
	for _, s := range list {
		k := strings.LastIndexByte(s, '=')
		if k < 0 {
			return nil, fmt.Errorf("--shape %q: expected name=1x128[:dtype]", s)
		}
		dims, _, _ := strings.Cut(s[k+1:], ":")
		shape := tensor.Shape{}
		for _, d := range strings.Split(dims, "x") {
			if d == "" {
				continue
			}
			n, err := strconv.Atoi(d)
			if err != nil {
				return nil, fmt.Errorf("--shape %q: %q is no extent", s, d)
			}
			shape = append(shape, n)
		}
		if err := shape.Check(); err != nil {
			return nil, fmt.Errorf("--shape %q: %w", s, err)
		}
		out[s[:k]] = shape
	}
	return out, nil
}

func defaultShape(p runtime.Port) (tensor.Shape, error) {
	if p.Type.Kind != graph.TensorKind || !p.Type.Ranked {
		return nil, fmt.Errorf("input %q has type %v: give --inputs or --shape", p.Name, p.Type)
	}
	s := tensor.Shape{}
	for i, d := range p.Type.Shape {
		if d.Size < 0 && i > 0 {
			return nil, fmt.Errorf("input %q has type %v: give --shape '%s=…'", p.Name, p.Type, p.Name)
		}
		s = append(s, max(d.Size, 1))
	}
	return s, nil
}

// Random makes an input: floats N(0,1); 1 in an input with mask in its name, 0 with
// token_type; other integers uniform in 1..999, booleans fair.
func Random(rng *rand.Rand, p runtime.Port, s tensor.Shape) (*tensor.Tensor, error) {
	return Values(rng, p.Name, p.Type.DType, s)
}

// Values is Random by name and type.
func Values(rng *rand.Rand, name string, d tensor.DType, s tensor.Shape) (*tensor.Tensor, error) {
	t := tensor.New(d, s)
	n := s.Elements()
	switch {
	case d == tensor.Float32 || d == tensor.Float64 || d == tensor.Float16 || d == tensor.BFloat16:
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		return t, tensor.StoreFloat64s(t, v)
	case d == tensor.Bool:
		for i := range tensor.Data[bool](t) {
			tensor.Data[bool](t)[i] = rng.IntN(2) == 1
		}
		return t, nil
	case d.IsInt() && d.Bits() >= 8:
		for i := range n {
			storeInt(t, i, integer(rng, name))
		}
		return t, nil
	case d == tensor.String:
		for i := range t.Strings() {
			t.Strings()[i] = strconv.Itoa(int(integer(rng, name)))
		}
		return t, nil
	}
	return nil, fmt.Errorf("input %q: no values are made for %v", name, d)
}

func integer(rng *rand.Rand, name string) int64 {
	switch {
	case strings.Contains(name, "mask"):
		return 1
	case strings.Contains(name, "token_type"):
		return 0
	}
	return 1 + rng.Int64N(999)
}

// storeInt puts v into element i, reduced to the type's width.
func storeInt(t *tensor.Tensor, i int, v int64) {
	w := t.DType.Bits() / 8
	if w == 1 {
		v %= 128
	}
	for k := range w {
		t.Bytes()[i*w+k] = byte(v >> (8 * k))
	}
}
