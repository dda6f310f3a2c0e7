package onnx

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// dtypes maps TensorProto.DataType to ours.
var dtypes = [...]tensor.DType{
	1: tensor.Float32, 2: tensor.Uint8, 3: tensor.Int8, 4: tensor.Uint16, 5: tensor.Int16, 6: tensor.Int32, 7: tensor.Int64,
	8: tensor.String, 9: tensor.Bool, 10: tensor.Float16, 11: tensor.Float64, 12: tensor.Uint32, 13: tensor.Uint64,
	14: tensor.Complex64, 15: tensor.Complex128, 16: tensor.BFloat16, 17: tensor.Float8E4M3FN, 18: tensor.Float8E4M3FNUZ,
	19: tensor.Float8E5M2, 20: tensor.Float8E5M2FNUZ, 21: tensor.Uint4, 22: tensor.Int4, 23: tensor.Float4E2M1,
	24: tensor.Float8E8M0, 25: tensor.Uint2, 26: tensor.Int2, 27: tensor.Float6E2M3, 28: tensor.Float6E3M2,
}

// DType gives the element type that a TensorProto.DataType number stands for; operators
// such as Cast name types by these numbers.
func DType(n int64) (tensor.DType, error) {
	if n <= 0 || n >= int64(len(dtypes)) {
		return tensor.Invalid, problemf(Unsupported, "element type %d is unknown", n)
	}
	return dtypes[n], nil
}

// maxTypeDepth bounds how deep sequence(optional(…)) may nest.
const maxTypeDepth = 16

func parseType(b []byte, depth int) (graph.Type, error) {
	t := graph.Type{}
	if depth > maxTypeDepth {
		return t, problemf(TooLarge, "types nest deeper than %d", maxTypeDepth)
	}
	err := each("type", b, func(f field) error {
		switch f.num {
		case 1, 8:
			return parseTensorType(&t, f.b)
		case 4:
			t.Kind = graph.SequenceKind
			return parseElem(&t, f.b, 1, depth)
		case 5:
			t.Kind = graph.MapKind
			return parseElem(&t, f.b, 2, depth)
		case 9:
			t.Kind = graph.OptionalKind
			return parseElem(&t, f.b, 1, depth)
		case 7:
			return problemf(Unsupported, "opaque types are not supported")
		}
		return nil
	})
	return t, err
}

func parseElem(t *graph.Type, b []byte, elem, depth int) error {
	return each("type", b, func(f field) (err error) {
		switch {
		case int(f.num) == elem:
			e, err := parseType(f.b, depth+1)
			t.Elem = &e
			return err
		case t.Kind == graph.MapKind && f.num == 1:
			t.Key, err = DType(int64(f.n))
		}
		return err
	})
}

func parseTensorType(t *graph.Type, b []byte) error {
	t.Kind = graph.TensorKind
	return each("tensor type", b, func(f field) (err error) {
		switch f.num {
		case 1:
			if f.n != 0 {
				t.DType, err = DType(int64(f.n))
			}
		case 2:
			t.Ranked = true
			err = each("tensor shape", f.b, func(f field) error {
				if f.num != 1 {
					return nil
				}
				d, err := parseDim(f.b)
				t.Shape = append(t.Shape, d)
				return err
			})
		}
		return err
	})
}

func parseDim(b []byte) (graph.Dim, error) {
	d := graph.Dim{Size: -1}
	err := each("dimension", b, func(f field) error {
		switch f.num {
		case 1:
			// Some writers put −1 or 0 for "unknown" in the batch axis; a real extent of 0
			// makes no sense in a declared type of a model.
			if n := int64(f.n); n > 0 && n <= tensor.MaxElements {
				d.Size = int(n)
			}
		case 2:
			d.Symbol = f.str()
		}
		return nil
	})
	return d, err
}
