package repository

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// maxWarmBytes bounds the inputs that are made up for one run, so that a model which
// declares huge shapes can't exhaust the memory before anybody has called it.
const maxWarmBytes = 256 << 20

// openExtents are the sizes to try for extents that a model leaves open, one after the
// other, until it runs: a convolution needs room, an attention little, and some models
// take few sizes only.
var openExtents = [...]int{8, 1, 16, 32, 64, 224}

// warmUp runs a version before anybody waits for it: the requests of its configuration,
// which must succeed, and batches that are made up, which may fail (an open extent can be
// anything) unless they show that rows are not what the configuration says. An ensemble
// has nothing to warm up but its steps, which are models of their own.
func (r *Repository) warmUp(ctx context.Context, v *Version, f folder) error {
	if r.cfg.WarmupOff || v.Config.Steps != nil {
		return nil
	}
	for i, w := range v.Config.Warmup {
		if err := warmConfigured(ctx, v, f, i, w); err != nil {
			return err
		}
	}
	return r.warmMadeUp(ctx, v)
}

// warmMadeUp runs batches of 1, 2, 4 … rows.
func (r *Repository) warmMadeUp(ctx context.Context, v *Version) error {
	began, last := time.Now(), time.Duration(0)
	most := min(v.Config.MaxBatch, r.cfg.WarmupRows)
	open := openExtents[:]
	for rows := 1; rows <= max(most, 1); rows *= 2 {
		if rows > 1 && time.Since(began)+2*last > r.cfg.WarmupBudget {
			r.log.Warn("warm-up ended by its budget", "model", v.Model, "version", v.Number, "rows", rows/2, "budget", r.cfg.WarmupBudget)
			return nil
		}
		at := time.Now()
		fit, err := r.tryOpen(ctx, v, rows, open)
		if err != nil {
			return err
		}
		if fit == nil {
			return nil
		}
		open, last = fit, time.Since(at)
	}
	return nil
}

// tryOpen runs one made-up batch with each size for open extents until one works, and
// gives that size; nil if none does.
func (r *Repository) tryOpen(ctx context.Context, v *Version, rows int, open []int) ([]int, error) {
	var last error
	for i, n := range open {
		in, fixed, err := madeUp(v, rows, n)
		if err == nil {
			err = run(ctx, v, in, rows)
		}
		if err == nil {
			return open[i : i+1], nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if forged := v.Runtime.Verify(); forged != nil {
			return nil, forged
		}
		if api.CodeOf(err) == api.CodeConfigInvalid {
			return nil, err
		}
		if errors.Is(err, errNoSample) {
			return nil, nil
		}
		if last = err; fixed {
			break
		}
	}
	if rows == 1 && strings.HasPrefix(string(api.CodeOf(last)), "gpu_") {
		return nil, last // no GPU computes it, and the configuration keeps the CPU from it
	}
	r.log.Warn("the model could not be warmed up with made-up inputs: give it a model_warmup", "model", v.Model, "version", v.Number, "rows", rows, "error", last.Error())
	return nil, nil
}

// errNoSample: a native model that makes no inputs is not warmed up, by its contract.
var errNoSample = errors.New("the native model has no sample")

// madeUp makes inputs of zeros; fixed reports that no extent was open.
func madeUp(v *Version, rows, open int) (in []tensor.Value, fixed bool, err error) {
	if in := v.Runtime.Sample(rows); in != nil {
		return in, true, nil
	}
	if v.Runtime.Graph == nil {
		return nil, true, errNoSample
	}
	total := 0
	fixed = true
	for i, p := range v.Config.Inputs {
		if v.Runtime.Inputs[i].Type.Kind != graph.TensorKind || p.DType == tensor.Invalid || p.Shape == nil {
			return nil, true, fmt.Errorf("input '%s' declares no type or rank", p.Name)
		}
		s := make(tensor.Shape, 0, len(p.Shape))
		for k, d := range p.Shape {
			switch {
			case k == 0 && v.Config.MaxBatch > 0:
				s = append(s, rows)
			case d < 0:
				fixed = false
				s = append(s, open)
			default:
				s = append(s, int(d))
			}
		}
		s = modelShape(v.Config, &p, s)
		if err := s.Check(); err != nil {
			return nil, true, err
		}
		if total += max(p.DType.Bytes(s.Elements()), s.Elements()); total > maxWarmBytes {
			return nil, fixed, fmt.Errorf("the inputs would take more than %d bytes", maxWarmBytes)
		}
		in = append(in, tensor.New(p.DType, s))
	}
	return in, fixed, nil
}

// modelShape turns a request's shape into the model's, by the port's reshape.
func modelShape(c *config.Config, p *config.Port, s tensor.Shape) tensor.Shape {
	if !p.Reshaped {
		return s
	}
	var out, open tensor.Shape
	for k, d := range p.Shape {
		if k == 0 && c.MaxBatch > 0 {
			out = append(out, s[0])
		} else if d < 0 {
			open = append(open, s[k])
		}
	}
	for _, d := range p.Reshape {
		if d < 0 {
			out, open = append(out, open[0]), open[1:]
		} else {
			out = append(out, int(d))
		}
	}
	return out
}

// run runs the version once and checks that the outputs have the batch's rows. Nothing is computed
// before all of the model has been verified; weights are packed while they arrive.
func run(ctx context.Context, v *Version, in []tensor.Value, rows int) error {
	if err := v.Runtime.Settle(in); err != nil {
		return err
	}
	call := &device.Call{In: in}
	if err := v.Runtime.Run(ctx, call); err != nil {
		return err
	}
	defer call.Release()
	if v.Config.MaxBatch == 0 {
		return nil
	}
	for i, o := range call.Out {
		t, ok := o.(*tensor.Tensor)
		if ok && (len(t.Shape) == 0 || t.Shape[0] != rows) {
			return api.Errorf(api.CodeConfigInvalid, "%v: output '%s' has the shape %v for a batch of %d, expected a row for each: set max_batch_size to 0", v.Config.At("max_batch_size"), v.Runtime.Outputs[i].Name, t.Shape, rows)
		}
	}
	return nil
}

// warmConfigured runs one model_warmup of the configuration.
func warmConfigured(ctx context.Context, v *Version, f folder, i int, w *inferencepb.ModelWarmup) error {
	at := v.Config.At("model_warmup[" + strconv.Itoa(i) + "]")
	rows := max(int(w.BatchSize), 1)
	if rows > max(v.Config.MaxBatch, 1) {
		return api.Errorf(api.CodeConfigInvalid, "%v: got batch_size %d, expected at most max_batch_size, %d", at, rows, v.Config.MaxBatch)
	}
	known := 0
	in := make([]tensor.Value, len(v.Config.Inputs))
	for k := range v.Config.Inputs {
		p := &v.Config.Inputs[k]
		if p.Hidden {
			in[k] = v.Config.Sequence.Sample(k)
			continue
		}
		spec := w.Inputs[p.Name]
		if spec == nil {
			return api.Errorf(api.CodeConfigInvalid, "%v: input '%s' is missing", at, p.Name)
		}
		known++
		t, err := warmInput(v.Config, p, f, rows, spec)
		if err != nil {
			return api.Errorf(api.CodeConfigInvalid, "%v: input '%s': %w", at, p.Name, err)
		}
		in[k] = t
	}
	if known != len(w.Inputs) {
		return api.Errorf(api.CodeConfigInvalid, "%v: got %d inputs, the model has %d", at, len(w.Inputs), known)
	}
	for range max(w.Count, 1) {
		if err := run(ctx, v, in, rows); err != nil {
			if api.CodeOf(err) != api.CodeInternal {
				return err
			}
			return api.Errorf(api.CodeExecutionFailed, "%v: the warm-up '%s' failed: %w", at, w.Name, err)
		}
	}
	return nil
}

// warmInput makes one input as the configuration describes it.
func warmInput(c *config.Config, p *config.Port, f folder, rows int, w *inferencepb.ModelWarmup_Input) (*tensor.Tensor, error) {
	if d := config.DType(w.DataType); d != p.DType {
		return nil, fmt.Errorf("got data_type %v, expected %v", w.DataType, config.DataType(p.DType))
	}
	var s tensor.Shape
	if c.MaxBatch > 0 {
		s = append(s, rows)
	}
	for _, d := range w.Dims {
		if d < 1 || d > tensor.MaxElements {
			return nil, fmt.Errorf("got dims %v, expected extents of 1 or more", w.Dims)
		}
		s = append(s, int(d))
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	fits := p.Shape == nil || len(s) == len(p.Shape)
	for k := 0; fits && p.Shape != nil && k < len(s); k++ {
		fits = p.Shape[k] < 0 || p.Shape[k] == int64(s[k])
	}
	if !fits {
		return nil, fmt.Errorf("got shape %v, expected %v", s, p.Shape)
	}
	s = modelShape(c, p, s)
	if max(p.DType.Bytes(s.Elements()), s.Elements()) > maxWarmBytes {
		return nil, fmt.Errorf("%v is larger than %d bytes", s, maxWarmBytes)
	}
	switch data := w.InputDataType.(type) {
	case *inferencepb.ModelWarmup_Input_InputDataFile:
		b, err := warmFile(f, data.InputDataFile)
		if err != nil {
			return nil, err
		}
		return fromFile(p.DType, s, b, rows)
	case *inferencepb.ModelWarmup_Input_RandomData:
		t := tensor.New(p.DType, s)
		return t, randomise(t)
	}
	return tensor.New(p.DType, s), nil
}

// warmFile reads a file of the folder "warmup" in the model's folder.
func warmFile(f folder, name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("got the file %q, expected one in the folder warmup", name)
	}
	b, err := f.read("warmup/" + name)
	if err != nil {
		return nil, fmt.Errorf("the file warmup/%s can't be read", name)
	}
	return b, nil
}

// fromFile makes a tensor of raw bytes: all of it, or one row that is then repeated.
func fromFile(d tensor.DType, s tensor.Shape, b []byte, rows int) (*tensor.Tensor, error) {
	if d == tensor.String {
		var v []string
		for len(b) > 0 {
			if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
				return nil, fmt.Errorf("the file's strings run beyond its end: each is its length in 4 bytes, then its bytes")
			}
			n := 4 + int(binary.LittleEndian.Uint32(b))
			v, b = append(v, string(b[4:n])), b[n:]
		}
		want := s.Elements()
		if len(v) == 0 || want%len(v) != 0 || len(v) != want && len(v)*rows != want {
			return nil, fmt.Errorf("the file has %d strings, expected %d or %d", len(v), want, want/rows)
		}
		for len(v) < want {
			v = append(v, v[:want/rows]...)
		}
		return tensor.FromStrings(v, s...), nil
	}
	want := d.Bytes(s.Elements())
	if len(b) != want && len(b)*rows != want {
		return nil, fmt.Errorf("the file has %d bytes, expected %d or %d", len(b), want, want/rows)
	}
	t := tensor.New(d, s)
	for at := 0; at < want; {
		at += copy(t.Bytes()[at:], b)
	}
	return t, nil
}

// randomise fills a tensor with small values: floats in [0,1), integers 0 or 1, which
// are valid as indices of anything.
func randomise(t *tensor.Tensor) error {
	rng := rand.New(rand.NewPCG(1, 2))
	switch {
	case t.DType == tensor.String:
		for i := range t.Strings() {
			t.Strings()[i] = strconv.Itoa(rng.IntN(2))
		}
	case t.DType.IsFloat():
		v := make([]float32, t.Elements())
		for i := range v {
			v[i] = rng.Float32()
		}
		return tensor.StoreFloats(t, v, false, tensor.RoundNearest)
	default:
		w := t.DType.Bits() / 8
		for i := 0; i < len(t.Bytes()); i += w {
			t.Bytes()[i] = byte(rng.IntN(2))
		}
	}
	return nil
}
