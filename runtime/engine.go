package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/pass"
	"github.com/aimass/aimass/runtime/tensor"
)

// Config sets the engine up.
type Config struct {
	CPU cpu.Config
	// KeepMaps leaves outputs as maps where the model has such; by default they are the
	// matrix that the map was made of, since no inference protocol carries maps.
	KeepMaps bool
	// PassesOff names passes to leave out, for tests and bisecting.
	PassesOff []string
	// Natives lists the models that are Go code.
	Natives []native.Entry
}

// Engine holds the devices and the operators.
type Engine struct {
	cfg Config
	reg *ops.Registry
	cpu *cpu.Device
	gpu *gpu.Device
}

// Placement says where a model runs.
type Placement struct {
	// CPU keeps the model off the GPUs, where there are any.
	CPU bool
	GPU gpu.Options
}

// NewEngine makes an engine with every operator and device there is.
func NewEngine(cfg Config) *Engine {
	reg := all.Registry()
	return &Engine{cfg: cfg, reg: reg, cpu: cpu.New(reg, cfg.CPU)}
}

// UseGPUs makes the GPUs the place where models run unless their Placement says
// otherwise. The error says what is missing: the driver, a device, a newer version.
func (e *Engine) UseGPUs(cfg gpu.Config) (err error) {
	e.gpu, err = gpu.New(e.reg, e.cpu, cfg)
	return err
}

// GPUs is the device of UseGPUs, nil without.
func (e *Engine) GPUs() *gpu.Device { return e.gpu }

// Devices lists the devices, the CPU last.
func (e *Engine) Devices() []device.Device {
	if e.gpu != nil {
		return []device.Device{e.gpu, e.cpu}
	}
	return []device.Device{e.cpu}
}

// Close frees the devices; models must be closed before.
func (e *Engine) Close() error {
	if e.gpu != nil {
		return e.gpu.Close()
	}
	return nil
}

// Operators is the registry of operators.
func (e *Engine) Operators() *ops.Registry { return e.reg }

// Port is an input or output of a model as clients see it.
type Port struct {
	Name string
	Type graph.Type
}

// Shape is the declared shape with −1 for unknown extents; nil if the rank is unknown.
func (p Port) Shape() []int64 {
	if !p.Type.Ranked {
		return nil
	}
	s := make([]int64, len(p.Type.Shape))
	for i, d := range p.Type.Shape {
		s[i] = int64(d.Size)
	}
	return s
}

// Model is a loaded model.
type Model struct {
	Inputs, Outputs []Port
	// Graph is the model after the passes; nil for a native model.
	Graph *graph.Model
	// Batch says whether rows of different requests may run together.
	Batch Batch
	// Ragged runs sequences of different length together; nil if that is not proved.
	Ragged  *Ragged
	program device.Program
	file    *onnx.File
	sample  func(rows int) []tensor.Value
	asks    func(name string) bool // nil: none
	gpu     bool
	backing Backing
}

// Backing is memory that a model was read from, and that may still arrive.
type Backing interface {
	// Verify waits for all of it. The error says that it is not what it should be.
	Verify() error
	Free()
}

// RestsOn has Verify ask b, and Close free it at its end.
func (m *Model) RestsOn(b Backing) { m.backing = b }

// Verify waits until all that the model was read from has arrived and was found genuine. Nobody
// may use what the model computes before.
func (m *Model) Verify() error {
	if m.backing == nil {
		return nil
	}
	return m.backing.Verify()
}

// Settle readies a model for inputs, as Prepare does, while what it was read from arrives, and then
// verifies that.
func (m *Model) Settle(in []tensor.Value) error {
	if m.backing == nil {
		return nil
	}
	err := m.Prepare(in)
	if forged := m.backing.Verify(); forged != nil {
		return forged // of which all else follows
	}
	return err
}

// Open loads an ONNX file. The error says which node or tensor is wrong and why.
func (e *Engine) Open(path string) (*Model, error) { return e.OpenAt(path, Placement{}) }

// OpenAt is Open with a place for the model.
func (e *Engine) OpenAt(path string, at Placement) (*Model, error) {
	f, err := onnx.Open(path)
	if err != nil {
		return nil, err
	}
	m, err := e.load(f.Model, at)
	if err != nil {
		f.Close()
		return nil, err
	}
	m.file = f
	f.Idle()
	return m, nil
}

// Read loads an ONNX model from memory, which must stay unchanged until Close.
func (e *Engine) Read(b []byte) (*Model, error) {
	return e.ReadAt(onnx.Memory{Bytes: b}, Placement{})
}

// ReadAt is Read with external data and a place for the model.
func (e *Engine) ReadAt(from onnx.Memory, at Placement) (_ *Model, err error) {
	defer tensor.Recover(&err)
	if from.Lender != nil && e.gpu != nil && !at.CPU {
		from.Lender = tensor.Kept{Lender: from.Lender} // a GPU that comes back is given its weights again
	}
	g, err := onnx.ReadMemory(from)
	if err != nil {
		return nil, err
	}
	return e.load(g, at)
}

func (e *Engine) load(g *graph.Model, at Placement) (*Model, error) {
	m := &Model{Graph: g}
	if !e.cfg.KeepMaps {
		pass.Unzip(g.Graph)
	}
	for _, v := range g.In {
		m.Inputs = append(m.Inputs, Port{v.Name, v.Type})
	}
	for _, v := range g.Out {
		m.Outputs = append(m.Outputs, Port{v.Name, v.Type})
	}
	err := g.Walk(func(n *graph.Node) error {
		_, err := e.reg.Resolve(n)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := pass.Run(g.Graph, e.reg, e.cfg.PassesOff...); err != nil {
		return nil, err
	}
	m.Batch = proveBatch(g, e.reg)
	if m.gpu = e.gpu != nil && !at.CPU; m.gpu {
		m.program, err = e.gpu.CompileFor(g.Graph, at.GPU)
	} else if m.Batch.Rows {
		m.program, err = e.cpu.CompileRows(g.Graph)
	} else {
		m.program, err = e.cpu.Compile(g.Graph)
	}
	if err != nil {
		return nil, err
	}
	e.proveRagged(m, e.reg)
	return m, nil
}

// OnGPU reports a model that was given to the GPUs. Parts of it, and all of it once no
// device is left, may run on the CPU.
func (m *Model) OnGPU() bool { return m.gpu }

// Parallel is how many runs at once a model on GPUs is made for, 0 for one on the CPU.
func (m *Model) Parallel() int {
	if p, ok := m.program.(interface{ Parallel() int }); ok {
		return p.Parallel()
	}
	return 0
}

// Run computes call.Out from call.In, which must fit Inputs in number and order; see
// Check for types and shapes.
func (m *Model) Run(ctx context.Context, call *device.Call) error { return m.program.Run(ctx, call) }

// Prepare readies the model for inputs of these types and shapes, so that the first Run
// with them is as fast as any other.
func (m *Model) Prepare(in []tensor.Value) error {
	err := m.program.Prepare(in)
	if m.file != nil {
		m.file.Idle()
	}
	return err
}

// WeightBytes is the memory that the weights take: on the heap, and mapped from the file.
func (m *Model) WeightBytes() (owned, mapped int64) { return m.program.WeightBytes() }

// Close frees the model; no Run may be in flight.
func (m *Model) Close() error {
	err := m.program.Close()
	if m.Ragged != nil {
		err = errors.Join(err, m.Ragged.program.Close())
	}
	if m.file != nil {
		if e := m.file.Close(); err == nil {
			err = e
		}
	}
	if m.backing != nil {
		m.backing.Free()
	}
	return err
}

// Check compares a value with what input i declares. The error names the input, what
// was expected and what came.
func (m *Model) Check(i int, v tensor.Value) error {
	p := m.Inputs[i]
	t, ok := v.(*tensor.Tensor)
	if !ok || p.Type.Kind != graph.TensorKind {
		return nil
	}
	if p.Type.DType != tensor.Invalid && t.DType != p.Type.DType {
		return fmt.Errorf("input %q: expected %v, got %v", p.Name, p.Type.DType, t.DType)
	}
	if !p.Type.Ranked {
		return nil
	}
	if len(p.Type.Shape) == 0 && len(t.Shape) == 1 && t.Shape[0] == 1 {
		return nil // as onnxruntime does: models and their data disagree on scalars
	}
	fits := len(t.Shape) == len(p.Type.Shape)
	for k := 0; fits && k < len(t.Shape); k++ {
		d := p.Type.Shape[k].Size
		fits = d < 0 || d == t.Shape[k]
	}
	if !fits {
		return fmt.Errorf("input %q: expected shape %v, got %v", p.Name, p.Shape(), t.Shape)
	}
	return nil
}
