package compress

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/klauspost/compress/zstd"
)

// Options say what to do; the zero value changes nothing.
type Options struct {
	Crop     *Crop
	Prune    *Prune
	Quantize *Quantize
	// Data are what the report compares answers on, and what static quantization is
	// calibrated with.
	Data Data
	// Bar is how good the answers must be for anything to be written.
	Bar Bar
	// Pack compresses the file with zstd: model.onnx.zst.
	Pack bool
	// Keys seal the file: model.onnx.sealed. A sealed file is compressed already. They also open
	// a sealed original, of which nothing is ever written unsealed.
	Keys *seal.Keyring
	// Progress, if set, is told what is being done.
	Progress func(step string)
	// Threads that the timing of the report uses; default 1.
	Threads int
	// Seed decides what is drawn; 0 means 1.
	Seed uint64
}

// Bar bounds what compression may cost.
type Bar struct {
	// MinCosine is the least mean cosine of an output with the original's; 0: no bound.
	MinCosine float64
	// MaxError is the greatest absolute difference of an element; 0: no bound.
	MaxError float64
	// MaxLoss is how much the task's metric may fall, where labels are given; 0: no bound.
	MaxLoss float64
}

// ErrBar is the reason for which nothing was written.
type ErrBar struct{ Reason string }

func (e *ErrBar) Error() string { return "below the bar, nothing was written: " + e.Reason }

// env is what the steps share.
type env struct {
	ctx    context.Context
	engine *runtime.Engine
	reg    *ops.Registry
	data   [][]input
	rng    *rand.Rand
	note   func(format string, args ...any)
}

// Made is a compressed model that nothing has been written of.
type Made struct {
	Report *Report
	// Name is that of the file: model.onnx, or with the ending of its form.
	Name string
	File []byte
	// SamePorts says that the inputs and outputs are those of the original.
	SamePorts bool
}

// Run compresses the model file at in, in whichever form it rests, into the folder out, which
// must exist, as model.onnx or in the form that the options ask for, with report.json and
// report.txt beside it.
func Run(ctx context.Context, in, out string, o Options) (*Report, error) {
	m, err := Make(ctx, in, o)
	if m == nil {
		return nil, err
	}
	if err != nil {
		return m.Report, err
	}
	return m.Report, write(out, m.Name, m.File, m.Report)
}

// Make compresses a model file. Where the bar is missed the report comes with the error.
func Make(ctx context.Context, in string, o Options) (*Made, error) {
	say := func(s string) {
		if o.Progress != nil {
			o.Progress(s)
		}
	}
	file := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(in), ".zst"), seal.Suffix)
	say("reading " + file)
	from, err := repository.Find(filepath.Dir(in), file, o.Keys)
	if err != nil {
		return nil, err
	}
	defer from.Free()
	if from.Sealed && o.Keys == nil {
		return nil, errors.New("the model is sealed, so what is made of it must be: give the keys")
	}
	m, size, done, err := readGraph(from)
	if err != nil {
		return nil, err
	}
	defer done()
	settle(m)
	engine := runtime.NewEngine(runtime.Config{CPU: cpu.Config{Threads: max(o.Threads, 1)}})
	before, err := open(engine, from)
	if err != nil {
		return nil, err
	}
	defer before.Close()
	r := &Report{Model: filepath.Base(filepath.Dir(in)) + "/" + file}
	e := &env{ctx: ctx, engine: engine, reg: engine.Operators(), rng: rand.New(rand.NewPCG(max(o.Seed, 1), 2)),
		note: func(format string, args ...any) { r.Steps = append(r.Steps, fmt.Sprintf(format, args...)) }}
	var labels []float64
	if e.data, labels, err = o.Data.load(before, e.rng); err != nil {
		return nil, err
	}
	if err := transform(e, m, o, say); err != nil {
		return nil, err
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("BUG: compression left a broken graph: %w", err)
	}
	say("encoding")
	if m.Producer == "" {
		m.Producer = "aimass compress"
	}
	b, err := onnx.Marshal(m)
	if err != nil {
		return nil, err
	}
	after, err := engine.Read(b)
	if err != nil {
		return nil, fmt.Errorf("BUG: the compressed model does not load: %w", err)
	}
	defer after.Close()
	say("comparing with the original")
	if err := r.compare(e, before, after, labels, o.Threads, size, int64(len(b))); err != nil {
		return nil, err
	}
	made := &Made{Report: r, SamePorts: slices.EqualFunc(before.Inputs, after.Inputs, samePort) && slices.EqualFunc(before.Outputs, after.Outputs, samePort)}
	if made.Name, made.File, err = packed(b, o); err != nil {
		return nil, err
	}
	r.File, r.After.FileBytes = made.Name, int64(len(made.File))
	if err := r.judge(o.Bar); err != nil {
		return made, err
	}
	return made, ctx.Err()
}

func samePort(a, b runtime.Port) bool { return a.Name == b.Name }

// readGraph reads the graph that is changed; done frees what it points into.
func readGraph(from repository.Content) (m *graph.Model, size int64, done func(), err error) {
	if from.Path == "" {
		m, err = onnx.ReadMemory(from.Memory)
		size = int64(len(from.Bytes))
		for _, f := range from.Files {
			size += int64(len(f))
		}
		return m, size, func() {}, err
	}
	f, err := onnx.Open(from.Path)
	if err != nil {
		return nil, 0, nil, fmt.Errorf("%s: %w", from.Path, err)
	}
	return f.Model, f.MappedBytes(), func() { _ = f.Close() }, nil
}

// settle makes constants of Constant nodes, which the steps then see as they see initializers.
func settle(m *graph.Model) {
	m.Nodes = slices.DeleteFunc(m.Nodes, func(n *graph.Node) bool {
		a := n.Attrs["value"]
		if !standard(n, "Constant") || a == nil || a.T == nil || slices.Contains(m.Out, n.Out[0]) {
			return false
		}
		n.Out[0].Const, n.Out[0].Def, n.Out[0].Type = a.T, nil, graph.TensorType(a.T.DType, a.T.Shape...)
		return true
	})
}

func open(engine *runtime.Engine, from repository.Content) (*runtime.Model, error) {
	if from.Path == "" {
		return engine.ReadAt(from.Memory, runtime.Placement{})
	}
	return engine.Open(from.Path)
}

// packed puts a file into the form that the options ask for.
func packed(file []byte, o Options) (name string, out []byte, err error) {
	name = "model.onnx"
	switch {
	case o.Keys != nil:
		out, err = o.Keys.Seal(file)
		return name + seal.Suffix, out, err
	case o.Pack:
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
		if err != nil {
			return "", nil, err
		}
		defer z.Close()
		return name + ".zst", z.EncodeAll(file, nil), nil
	}
	return name, file, nil
}

func transform(e *env, m *graph.Model, o Options, say func(string)) error {
	type step struct {
		name string
		on   bool
		run  func(*env, *graph.Model) error
	}
	for _, s := range []step{
		{"crop", o.Crop != nil, func(e *env, m *graph.Model) error { return o.Crop.run(e, m) }},
		{"prune", o.Prune != nil, func(e *env, m *graph.Model) error { return o.Prune.run(e, m) }},
		{"quantize", o.Quantize != nil, func(e *env, m *graph.Model) error { return o.Quantize.run(e, m) }},
	} {
		if !s.on {
			continue
		}
		if err := e.ctx.Err(); err != nil {
			return err
		}
		say(s.name)
		if err := s.run(e, m); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// write puts the model and its report into the folder; the model last and at once, so that
// a folder with a model is complete.
func write(dir, name string, file []byte, r *Report) error {
	js, err := r.JSON()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{"report.json", js}, {"report.txt", []byte(r.Text())}, {name, file}} {
		if err := replace(filepath.Join(dir, f.name), f.data); err != nil {
			return err
		}
	}
	return nil
}

func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
