package gpu

import (
	"fmt"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// operation is a piece of work of one device: the nodes it does, the slots it reads and
// writes, and how it becomes launches.
type operation struct {
	kind    string // for people: "gemm", "attention"
	nodes   []*node
	in, out []int
	scratch int64 // bytes of workspace
	// launch appends the launches, given the addresses of in and out in their order. It is
	// nil for a view: out[0] is then in[0] from viewAt bytes on.
	launch func(dst []cuda.Launch, in, out []cuda.Ptr, scratch cuda.Ptr) ([]cuda.Launch, error)
	viewAt int
	// index is set where an index out of range is an error that the kernel can only report:
	// launch then gets the address of the plan's fault word, or 0 if the host has looked at the
	// indices before, as its scratch.
	index *bound
	// form is what splitting over devices looks at: *product, *attention, *pointwise, *forest or nil.
	form any
}

// bound says that the elements of a slot must lie within ±rows.
type bound struct{ slot, rows int }

func (o *operation) view() bool { return o.launch == nil }

// moved is the operation on other slots.
func (o *operation) moved(slot func(int) int) *operation {
	c := *o
	renumber := func(list []int) []int {
		out := make([]int, len(list))
		for i, s := range list {
			out[i] = slot(s)
		}
		return out
	}
	c.in, c.out = renumber(o.in), renumber(o.out)
	return &c
}

// refused tries the operation on made-up addresses: a descriptor errs on what its
// kernel can't do.
func (o *operation) refused() error {
	if o.view() {
		return nil
	}
	at := cuda.Ptr(1 << 20)
	addresses := func(n int) []cuda.Ptr {
		p := make([]cuda.Ptr, n)
		for i := range p {
			p[i] = at
			at += 1 << 20
		}
		return p
	}
	_, err := o.launch(nil, addresses(len(o.in)), addresses(len(o.out)), 1<<30)
	return err
}

// values numbers a plan's values and knows their types: those of the model first, then
// those that lowering and placing add.
type values struct {
	info []ops.Info
}

// scratch adds a value that only the device knows.
func (v *values) add(d tensor.DType, shape ...int) int {
	v.info = append(v.info, ops.Info{Present: true, DType: d, Known: true, Shape: shape})
	return len(v.info) - 1
}

// constant adds a constant.
func (v *values) constant(t *tensor.Tensor) int {
	v.info = append(v.info, ops.ConstInfo(t))
	return len(v.info) - 1
}

func (v *values) shape(slot int) tensor.Shape { return v.info[slot].Shape }

func (v *values) bytes(slot int) int {
	return v.info[slot].DType.Bytes(v.info[slot].Shape.Elements())
}

func (v *values) tensor(slot int) *tensor.Tensor {
	if slot < 0 {
		return nil
	}
	return v.info[slot].Tensor()
}

// addressable reports a value that may lie on a device.
func (v *values) addressable(slot int) bool {
	return slot >= 0 && v.info[slot].Known && v.info[slot].DType.Bits() >= 8
}

// typeName is how cuda/kernel calls an element type, "" for those it doesn't know.
func typeName(d tensor.DType) string {
	return map[tensor.DType]string{tensor.Float32: "f32", tensor.Float16: "f16", tensor.Float64: "f64", tensor.Int32: "i32",
		tensor.Int64: "i64", tensor.Uint8: "u8", tensor.Bool: "u8", tensor.Int8: "i8"}[d]
}

// derived keeps constants that lowering makes of the model's (scaled weights, packed
// trees, a device's share), so that all plans of a program share their uploads.
type derived struct {
	m map[string]*tensor.Tensor
	// sources are the constants that keys name by address: as long as they are held, no other
	// can have that address.
	sources map[*tensor.Tensor]bool
}

func newDerived() derived {
	return derived{m: map[string]*tensor.Tensor{}, sources: map[*tensor.Tensor]bool{}}
}

// get gives the constant of that name, made at the first use.
func (d *derived) get(name string, make func() *tensor.Tensor) *tensor.Tensor {
	if t, ok := d.m[name]; ok {
		return t
	}
	t := make()
	d.m[name] = t
	return t
}

// key names a constant in the names of others that are made of it.
func (d *derived) key(t *tensor.Tensor) string {
	d.sources[t] = true
	return fmt.Sprintf("%p", t)
}
