package compress

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/aimass/aimass/internal/seal"
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
	// Keys seal the file: model.onnx.sealed. A sealed file is compressed already.
	Keys *seal.Keyring
	// Progress, if set, is told what is being done.
	Progress func(step string)
	// Threads that the timing of the report uses; default 1.
	Threads int
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

// Run compresses the model file at in into the folder out, which must exist, as model.onnx
// or in the form that the options ask for, with report.json and report.txt beside it.
func Run(ctx context.Context, in, out string, o Options) (*Report, error) {
	say := func(s string) {
		if o.Progress != nil {
			o.Progress(s)
		}
	}
	say("reading " + filepath.Base(in))
	f, err := onnx.Open(in)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	engine := runtime.NewEngine(runtime.Config{CPU: cpu.Config{Threads: max(o.Threads, 1)}})
	before, err := engine.Open(in)
	if err != nil {
		return nil, err
	}
	defer before.Close()
	r := &Report{Model: filepath.Base(filepath.Dir(in)) + "/" + filepath.Base(in)}
	e := &env{ctx: ctx, engine: engine, reg: engine.Operators(), rng: rand.New(rand.NewPCG(1, 2)),
		note: func(format string, args ...any) { r.Steps = append(r.Steps, fmt.Sprintf(format, args...)) }}
	if e.data, err = o.Data.load(before, e.rng); err != nil {
		return nil, err
	}
	m := f.Model
	m.Graph.Forget = nil
	if err := transform(e, m, o, say); err != nil {
		return nil, err
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("BUG: compression left a broken graph: %w", err)
	}
	say("writing")
	if m.Producer == "" {
		m.Producer = "aimass compress"
	}
	file, err := onnx.Marshal(m)
	if err != nil {
		return nil, err
	}
	after, err := engine.Read(file)
	if err != nil {
		return nil, fmt.Errorf("BUG: the compressed model does not load: %w", err)
	}
	defer after.Close()
	say("comparing with the original")
	if err := r.compare(e, before, after, o, int64(f.MappedBytes()), int64(len(file))); err != nil {
		return nil, err
	}
	name := "model.onnx"
	switch {
	case o.Keys != nil:
		name += seal.Suffix
		if file, err = o.Keys.Seal(file); err != nil {
			return nil, err
		}
	case o.Pack:
		name += ".zst"
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
		if err != nil {
			return nil, err
		}
		file = z.EncodeAll(file, nil)
		z.Close()
	}
	r.File, r.After.FileBytes = name, int64(len(file))
	if err := r.judge(o.Bar); err != nil {
		return r, err
	}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	return r, write(out, name, file, r)
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
