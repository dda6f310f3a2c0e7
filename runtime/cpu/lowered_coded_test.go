package cpu_test

import (
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestLoweredBits holds com.microsoft's MatMulNBits to Eval: all widths, with and without zero points and bias, and
// what follows done in the store.
func TestLoweredBits(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		bits, block, k, n := one(b, 2, 4, 8), one(b, 16, 32), one(b, 16, 40, 100), one(b, 1, 17, 40)
		blocks := (k + block - 1) / block
		a := attrs{"K": graph.IntAttr(int64(k)), "N": graph.IntAttr(int64(n)), "bits": graph.IntAttr(int64(bits)), "block_size": graph.IntAttr(int64(block))}
		in := []*graph.Value{b.input(b.floats(one(b, 1, 2), one(b, 1, 3, 9), k)), b.constant(b.bytes(tensor.Uint8, n, blocks, block*bits/8)), b.constant(b.positive(n * blocks)), nil, nil, nil}
		switch b.IntN(3) {
		case 0:
			in[3] = b.constant(b.bytes(tensor.Uint8, n*((blocks*bits+7)/8)))
		case 1:
			in[3] = b.constant(b.positive(n * blocks)) // no codes: the weights become floats
		}
		if b.IntN(3) == 0 {
			in[5] = b.constant(b.floats(n))
		}
		v := b.node("com.microsoft.MatMulNBits", a, in...)
		v.Def.Opset = 1
		if b.IntN(2) == 0 {
			v = b.node("Relu", nil, b.node("Add", nil, v, b.constant(b.floats(n))))
		}
		b.output(v)
		mustLower(t, b.check(t, tolerance{1e-4, 3e-3}))
	})
}
