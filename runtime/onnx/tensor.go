package onnx

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/tensor"
)

type tensorProto struct {
	name     string
	dims     []int64
	dtype    int64
	raw      []byte
	hasRaw   bool
	f32      []float32
	i32      []int64
	i64      []int64
	f64      []float64
	u64      []int64
	str      [][]byte
	external map[string]string
	location int64
	view     bool // the tensor made of it shares the file's memory
}

func parseTensorProto(b []byte) (*tensorProto, error) {
	t := &tensorProto{}
	err := each("tensor", b, func(f field) (err error) {
		switch f.num {
		case 1:
			t.dims, err = varints(t.dims, f)
		case 2:
			t.dtype = int64(f.n)
		case 3:
			err = problemf(Unsupported, "segmented tensors are not supported")
		case 4:
			t.f32, err = floats(t.f32, f)
		case 5:
			t.i32, err = varints(t.i32, f)
		case 6:
			t.str = append(t.str, f.b)
		case 7:
			t.i64, err = varints(t.i64, f)
		case 8:
			t.name = f.str()
		case 9:
			t.raw, t.hasRaw = f.b, true
		case 10:
			t.f64, err = doubles(t.f64, f)
		case 11:
			t.u64, err = varints(t.u64, f)
		case 13:
			if t.external == nil {
				t.external = map[string]string{}
			}
			var k, v string
			k, v, err = parseEntry(f.b)
			t.external[k] = v
		case 14:
			t.location = int64(f.n)
		}
		return err
	})
	if err != nil && t.name != "" {
		err = fmt.Errorf("tensor %q: %w", t.name, err)
	}
	return t, err
}

// source is where the bytes of tensors come from.
type source struct {
	// external finds those of a tensor that lies in another file.
	external func(entries map[string]string, want int) ([]byte, error)
	lender   tensor.Lender // of the memory that they lie in, nil if it has them
	// scarce says that what is asked for stays in memory with much that lies around it. Small tensors are copied then.
	scarce bool
}

// copied is a copy of b.
func (s source) copied(b []byte) ([]byte, error) {
	if s.lender != nil {
		if err := s.lender.Borrow(b); err != nil {
			return nil, err
		}
		defer s.lender.Return(b)
	}
	return append(tensor.Aligned(len(b))[:0], b...), nil
}

// build makes the tensor; raw data stay where they are.
func (p *tensorProto) build(from source) (*tensor.Tensor, error) {
	t, err := p.value(from)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", p.name, err)
	}
	return t, nil
}

func (p *tensorProto) value(from source) (*tensor.Tensor, error) {
	d, err := DType(p.dtype)
	if err != nil {
		return nil, err
	}
	s, err := tensor.ShapeOf(p.dims)
	if err != nil {
		return nil, err
	}
	n := s.Elements()
	if d == tensor.String {
		if len(p.str) != n {
			return nil, sizeError(d, s, n, len(p.str), "strings")
		}
		v := make([]string, n)
		for i, b := range p.str {
			v[i] = string(b)
		}
		return tensor.FromStrings(v, s...), nil
	}
	want := d.Bytes(n)
	switch {
	case p.location == 1:
		b, err := from.external(p.external, want)
		if err != nil {
			return nil, err
		}
		return p.raws(from, d, s, b)
	case p.hasRaw:
		if len(p.raw) != want {
			return nil, sizeError(d, s, want, len(p.raw), "bytes of raw data")
		}
		return p.raws(from, d, s, p.raw)
	}
	return p.typed(d, s)
}

func (p *tensorProto) raws(from source, d tensor.DType, s tensor.Shape, b []byte) (*tensor.Tensor, error) {
	t, err := rawTensor(from, d, s, b)
	p.view = err == nil && (len(b) == 0 || t.Views(b))
	return t, err
}

// rawTensor views b; a Bool must be 0 or 1 in memory, since Go relies on it.
func rawTensor(from source, d tensor.DType, s tensor.Shape, b []byte) (*tensor.Tensor, error) {
	large := len(b) >= tensor.Large
	switch {
	case d == tensor.Bool:
		c, err := from.copied(b)
		if err != nil {
			return nil, err
		}
		for i, x := range c {
			c[i] = min(x, 1)
		}
		return tensor.FromBytes(d, s, c)
	case from.lender != nil && large:
		return tensor.Lent(d, s, b, from.lender)
	case from.scarce:
		c, err := from.copied(b)
		if err != nil {
			return nil, err
		}
		return tensor.FromBytes(d, s, c)
	}
	return tensor.FromBytes(d, s, b)
}

func sizeError(d tensor.DType, s tensor.Shape, want, got int, what string) error {
	return problemf(Weights, "%v%v takes %d %s, the file has %d", d, s, want, what, got)
}

// typed reads the fields that spell elements out, by the rules of onnx.proto: which
// field holds which type, half floats as bit patterns in int32_data.
func (p *tensorProto) typed(d tensor.DType, s tensor.Shape) (*tensor.Tensor, error) {
	n := s.Elements()
	var ints []int64
	switch d {
	case tensor.Float32, tensor.Complex64:
		k := d.Bits() / 32
		if len(p.f32) != n*k {
			return nil, sizeError(d, s, n*k, len(p.f32), "elements of float_data")
		}
		b := make([]byte, 0, 4*len(p.f32))
		for _, v := range p.f32 {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		return tensor.FromBytes(d, s, b)
	case tensor.Float64, tensor.Complex128:
		k := d.Bits() / 64
		if len(p.f64) != n*k {
			return nil, sizeError(d, s, n*k, len(p.f64), "elements of double_data")
		}
		b := make([]byte, 0, 8*len(p.f64))
		for _, v := range p.f64 {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
		return tensor.FromBytes(d, s, b)
	case tensor.Int64:
		ints = p.i64
	case tensor.Uint64, tensor.Uint32:
		ints = p.u64
	default:
		ints = p.i32
	}
	want, width := n, d.Bits()/8
	if d.Bits() < 8 {
		want, width = d.Bytes(n), 1
	}
	if len(ints) != want {
		return nil, sizeError(d, s, want, len(ints), "elements of integer data")
	}
	b := make([]byte, 0, want*width)
	for _, v := range ints {
		if d == tensor.Bool && v != 0 {
			v = 1
		}
		for k := range width {
			b = append(b, byte(v>>(8*k)))
		}
	}
	return tensor.FromBytes(d, s, b)
}

// maxDense bounds the dense form of a sparse constant, whose size the file need not hold.
const maxDense = 1 << 30

// parseSparse reads a SparseTensorProto into its dense form.
func parseSparse(b []byte, from source) (name string, t *tensor.Tensor, err error) {
	var values, indices *tensor.Tensor
	var dims []int64
	err = each("sparse tensor", b, func(f field) (err error) {
		switch f.num {
		case 1, 2:
			p, err := parseTensorProto(f.b)
			if err != nil {
				return err
			}
			x, err := p.build(from)
			if f.num == 1 {
				values, name = x, p.name
			} else {
				indices = x
			}
			return err
		case 3:
			dims, err = varints(dims, f)
		}
		return err
	})
	if err != nil {
		return name, nil, err
	}
	if values == nil || indices == nil || indices.DType != tensor.Int64 || values.DType == tensor.String || values.DType.Bits() < 8 {
		return name, nil, fmt.Errorf("sparse tensor %q: values or int64 indices are missing", name)
	}
	s, err := tensor.ShapeOf(dims)
	if err != nil {
		return name, nil, err
	}
	if values.DType.Bytes(s.Elements()) > maxDense {
		return name, nil, problemf(TooLarge, "sparse tensor %q: dense form %v%v is beyond %d bytes", name, values.DType, s, maxDense)
	}
	t = tensor.New(values.DType, s)
	return name, t, scatterSparse(t, values, tensor.Data[int64](indices), indices.Rank() == 2)
}

func scatterSparse(t, values *tensor.Tensor, idx []int64, coords bool) error {
	n, w, rank := values.Elements(), values.DType.Bits()/8, len(t.Shape)
	per := 1
	if coords {
		per = rank
	}
	if len(idx) != n*per {
		return problemf(Weights, "sparse tensor: %d indices for %d values", len(idx), n)
	}
	for i := range n {
		at := int64(0)
		if coords {
			for a := range rank {
				x := idx[i*rank+a]
				if x < 0 || x >= int64(t.Shape[a]) {
					return problemf(Weights, "sparse tensor: index %d is outside of %v", x, t.Shape)
				}
				at = at*int64(t.Shape[a]) + x
			}
		} else if at = idx[i]; at < 0 || at >= int64(t.Elements()) {
			return problemf(Weights, "sparse tensor: index %d is outside of %v", at, t.Shape)
		}
		copy(t.Bytes()[int(at)*w:], values.Bytes()[i*w:(i+1)*w])
	}
	return nil
}
