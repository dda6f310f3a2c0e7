// Package native makes a model of Go code: an algorithm with named, typed inputs and
// outputs that the rest of the server can't tell from an ONNX file. Models are listed
// explicitly in runtime.Config.Natives and named in a model's config.pbtxt
// (backend: "native").
//
// Neighbours: runtime opens natives by name and gives Compile's program to batcher;
// appointment (and tests) implement Model.
//
// Ownership: a Model may read its inputs until Run returns and must not keep or change
// them. Outputs that it makes with Alloc belong to the run: they hold until the call's
// Release. Outputs that it makes otherwise are the garbage collector's.
//
// Concurrency: Run is called from any number of goroutines at once, so a Model keeps no
// state between runs, or guards it. Close is called once, when no Run is in flight.
package native

import (
	"context"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Port is an input or output: its name, element type and shape. An extent of −1 is any
// size. graph.TensorType declares fixed shapes, Tensor those with open extents.
type Port struct {
	Name string
	Type graph.Type
}

// Tensor declares a tensor port; an extent of −1 is any size, no extents a scalar.
func Tensor(name string, d tensor.DType, shape ...int) Port {
	return Port{Name: name, Type: graph.TensorType(d, shape...)}
}

// Alloc makes a zeroed tensor for an output. The shape is kept, not copied. The memory
// is reused after the call's Release, so nothing of it may be kept by the model. It
// fails on a shape that Shape.Check refuses.
type Alloc func(d tensor.DType, s tensor.Shape) (*tensor.Tensor, error)

// Model is Go code that answers as a model. Inputs and Outputs give the same ports on
// every call.
type Model interface {
	Inputs() []Port
	Outputs() []Port
	// Run computes the outputs, in order of Outputs, from in, in order of Inputs. Number,
	// element types and declared extents of the inputs have been checked. The error is
	// shown to the caller: one that carries a code (api.Errorf) keeps it.
	Run(ctx context.Context, in []tensor.Value, alloc Alloc) (out []tensor.Value, err error)
}

// Rowwise is implemented by a Model of which rows of different requests may run
// together: axis 0 of every input and output is the batch, and each row of the outputs
// is a function of the same row of the inputs alone. A Model without it, or whose
// Rowwise says false, runs one request at a time.
type Rowwise interface{ Rowwise() bool }

// Sampler is implemented by a Model that can make inputs to warm up with, in order of
// Inputs, for a batch of that many rows (ignore it if there is no batch). A Model without
// it is not warmed up unless its configuration has a model_warmup.
type Sampler interface {
	Sample(rows int) []tensor.Value
}

// Asker is implemented by a Model that knows which other models its answers rest on: those
// that it runs, and those whose files it reads after it was made. A Model without it may rest
// on any of the server's; what is remembered of its answers is forgotten when one of them changes.
type Asker interface{ Asks() []string }

// Alone, embedded in a Model, says that its answers rest on no other.
type Alone struct{}

// Asks implements Asker.
func (Alone) Asks() []string { return nil }

// Sizer is implemented by a Model whose constants take memory worth counting, in bytes.
type Sizer interface{ WeightBytes() int64 }

// Closer is implemented by a Model that holds something to be freed.
type Closer interface{ Close() error }

// Source is what a model is made from.
type Source struct {
	// Params are the parameters of its configuration.
	Params map[string]string
	// Read gives a whole file of the version's folder by its slash-separated path, with
	// an error that is fs.ErrNotExist where there is none. The bytes are the caller's.
	Read func(name string) ([]byte, error)
	// Beside is Read for another model of the repository, at the time of the call: a file
	// of its newest version's folder, else of the model's own. A model may keep it.
	Beside func(model, name string) ([]byte, error)
}

// New makes a model. It refuses parameters that it doesn't know or that are out of range,
// and files that are damaged; the error is shown to whoever loads the model.
type New func(from Source) (Model, error)

// Entry is one native model that the server knows.
type Entry struct {
	// Name is what a configuration calls it by, such as "appt-schedule".
	Name string
	New  New
}
