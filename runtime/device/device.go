// Package device is the graph-level interface between the runtime and what executes.
// A device takes a whole graph, never one operator, so that adding an operator does not
// change the interface. runtime/cpu and runtime/gpu implement it; so does a model that is
// Go code (a native model).
//
// Ownership: a Call's inputs belong to its caller and are read until Run returns; its
// outputs belong to the program and hold until Release.
//
// Concurrency: a Device and a Program may be used from any number of goroutines; a Call
// from one at a time.
package device

import (
	"context"
	"encoding/binary"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Info describes a device.
type Info struct {
	Name    string // "cpu", "cuda:0"
	Kind    string // "cpu", "cuda", "native"
	ISA     string // of a CPU: generic, avx2, avx512; of a GPU: sm_80
	Threads int    // cores that one program may use
	Memory  int64  // bytes, 0 if not limited
}

// Device compiles graphs.
type Device interface {
	Info() Info
	// Supports reports whether the node runs on the device itself; what does not is
	// evaluated on the host.
	Supports(n *graph.Node) bool
	// Compile prepares the graph, which must not change afterwards. The error names the
	// node that can't be compiled.
	Compile(g *graph.Graph) (Program, error)
	Close() error
}

// Program is a compiled graph.
type Program interface {
	// Run computes call.Out from call.In, the graph's inputs in order. Shapes may differ
	// from call to call. After an error call.Out is empty; Release is then harmless.
	Run(ctx context.Context, call *Call) error
	// Prepare does what a first Run with inputs of these types and shapes would do before
	// it computes: plan and pack weights. The elements are not looked at.
	Prepare(in []tensor.Value) error
	// WeightBytes is the memory that constants take, packed copies included, parts that
	// lie in the mapped file counted apart.
	WeightBytes() (owned, mapped int64)
	// Close frees the program; it waits for nothing: no Run may be in flight.
	Close() error
}

// Call is one execution: inputs in, outputs out. It may be reused for further runs of
// any program, which then costs no allocation.
type Call struct {
	In  []tensor.Value
	Out []tensor.Value
	// Threads bounds the cores used for this run; 0 means the device's choice.
	Threads int
	release Releaser
}

// Releaser takes a run's output memory back.
type Releaser interface{ Release(*Call) }

// Hold is called by a program at the end of Run: r gets the call back on Release.
func (c *Call) Hold(r Releaser) { c.release = r }

// Release gives the outputs' memory back; Out must not be read afterwards.
func (c *Call) Release() {
	clear(c.Out)
	c.Out = c.Out[:0]
	if r := c.release; r != nil {
		c.release = nil
		r.Release(c)
	}
}

// AppendShapeKey appends what a plan depends on: which inputs are tensors, their element types and, but of those that are
// open (nil: none is), shapes. Inputs of one key can run on one plan.
func AppendShapeKey(dst []byte, in []tensor.Value, open []bool) []byte {
	for i, v := range in {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			dst = append(dst, 0xff)
			continue
		}
		if open != nil && open[i] {
			dst = append(dst, byte(t.DType), 0xfe)
			continue
		}
		dst = append(dst, byte(t.DType), byte(len(t.Shape)))
		for _, d := range t.Shape {
			dst = binary.AppendUvarint(dst, uint64(d))
		}
	}
	return dst
}
