package native

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// program runs a Model as a device.Program.
type program struct {
	model   Model
	in, out []Port
	pool    sync.Pool // of *run
}

// Compile makes a program of a model. The error says what is wrong with its ports.
func Compile(m Model) (device.Program, error) {
	p := &program{model: m, in: m.Inputs(), out: m.Outputs()}
	if len(p.out) == 0 {
		return nil, errors.New("the native model has no outputs")
	}
	for _, list := range [][]Port{p.in, p.out} {
		seen := map[string]bool{}
		for _, q := range list {
			if q.Name == "" || seen[q.Name] {
				return nil, fmt.Errorf("the native model has two ports called %q, or one without a name", q.Name)
			}
			if q.Type.Kind == graph.TensorKind && q.Type.DType == tensor.Invalid {
				return nil, fmt.Errorf("port %q of the native model has no element type", q.Name)
			}
			seen[q.Name] = true
		}
	}
	return p, nil
}

// Run implements device.Program.
func (p *program) Run(ctx context.Context, call *device.Call) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := check("input", p.in, call.In); err != nil {
		return err
	}
	r, _ := p.pool.Get().(*run)
	if r == nil {
		r = &run{p: p}
		r.alloc = r.allocate
	}
	defer func() {
		// A defect in one model must not take the server down with the others.
		if x := recover(); x != nil {
			err = fmt.Errorf("the native model failed: %v", x)
		}
		if err != nil {
			r.Release(call)
		}
	}()
	out, err := p.model.Run(ctx, call.In, r.alloc)
	if err != nil {
		return err
	}
	if err := check("output", p.out, out); err != nil {
		return fmt.Errorf("the native model broke its word: %w", err)
	}
	call.Out = append(call.Out[:0], out...)
	call.Hold(r)
	return nil
}

// Prepare implements device.Program; Go code needs none.
func (p *program) Prepare(in []tensor.Value) error { return check("input", p.in, in) }

// check compares values with the ports that they are for.
func check(what string, ports []Port, vals []tensor.Value) error {
	if len(vals) != len(ports) {
		return fmt.Errorf("%d %ss, expected %d", len(vals), what, len(ports))
	}
	for i, q := range ports {
		t, ok := vals[i].(*tensor.Tensor)
		if q.Type.Kind != graph.TensorKind {
			if vals[i] == nil {
				return fmt.Errorf("%s %q is missing", what, q.Name)
			}
			continue
		}
		if !ok || t == nil {
			return fmt.Errorf("%s %q is no tensor", what, q.Name)
		}
		if t.DType != q.Type.DType {
			return fmt.Errorf("%s %q: expected %v, got %v", what, q.Name, q.Type.DType, t.DType)
		}
		if !q.Type.Ranked {
			continue
		}
		fits := len(t.Shape) == len(q.Type.Shape)
		for k := 0; fits && k < len(t.Shape); k++ {
			d := q.Type.Shape[k].Size
			fits = d < 0 || d == t.Shape[k]
		}
		if !fits {
			return fmt.Errorf("%s %q: expected %v, got %v", what, q.Name, q.Type, t)
		}
	}
	return nil
}

// WeightBytes implements device.Program.
func (p *program) WeightBytes() (owned, mapped int64) {
	if s, ok := p.model.(Sizer); ok {
		owned = s.WeightBytes()
	}
	return owned, 0
}

// Close implements device.Program.
func (p *program) Close() error {
	if c, ok := p.model.(Closer); ok {
		return c.Close()
	}
	return nil
}

// keepBytes bounds the output memory that a run keeps for the next one.
const keepBytes = 1 << 20

// run is the output memory of one execution.
type run struct {
	p     *program
	arena []byte
	used  int
	want  int // bytes asked for in this run, for the next arena's size
	alloc Alloc
}

// allocate implements Alloc: from the arena while it lasts, then from the heap.
func (r *run) allocate(d tensor.DType, s tensor.Shape) (*tensor.Tensor, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if d == tensor.String {
		return tensor.New(d, s), nil
	}
	n := d.Bytes(s.Elements())
	step := (n + 63) &^ 63
	r.want += step
	if n == 0 || step > len(r.arena)-r.used {
		return tensor.New(d, s), nil
	}
	b := r.arena[r.used : r.used+n : r.used+n]
	r.used += step
	clear(b)
	t := &tensor.Tensor{}
	t.View(d, s, b)
	return t, nil
}

// Release implements device.Releaser.
func (r *run) Release(*device.Call) {
	if r.want > len(r.arena) && r.want <= keepBytes {
		r.arena = tensor.Aligned(r.want)
	}
	r.used, r.want = 0, 0
	r.p.pool.Put(r)
}
