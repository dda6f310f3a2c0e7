package compress

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// blocks stores the matrices of products by blocks along the summed axis, each with a
// scale and a zero point, as com.microsoft's MatMulNBits reads them.
func (q *Quantize) blocks(e *env, m *graph.Model, bits int) error {
	block := q.Block
	if block == 0 {
		block = 32
	}
	if block < 16 || block&(block-1) != 0 {
		return fmt.Errorf("block: expected a power of two from 16 on, got %d", block)
	}
	count, tables := 0, 0
	err := rewrite(m, func(ed *editor, n *graph.Node) (bool, error) {
		if q.embeds(ed, n) {
			tables++
			return true, nil
		}
		p, ok := q.matrixOf(n)
		if !ok || p.k < block {
			return false, nil
		}
		data, scales, zeros := packBlocks(p.w, p.k, p.n, bits, block)
		groups := (p.k + block - 1) / block
		in := []*graph.Value{p.x,
			ed.constant(p.name+"/q", tensor.FromSlice(data, p.n, groups, block*bits/8)),
			ed.constant(p.name+"/scale", tensor.FromSlice(scales, p.n*groups)),
			ed.constant(p.name+"/zero", tensor.FromSlice(zeros, len(zeros)))}
		y := p.y
		if p.bias != nil {
			y = ed.value(p.y.Name+"/product", tensor.Float32)
		}
		ed.emitIn("com.microsoft", "MatMulNBits", in, []*graph.Value{y}, graph.Attrs{
			"K": intAttr(int64(p.k)), "N": intAttr(int64(p.n)), "bits": intAttr(int64(bits)), "block_size": intAttr(int64(block))})
		if p.bias != nil {
			ed.emit("Add", []*graph.Value{y, p.bias}, []*graph.Value{p.y}, nil)
		}
		count++
		return true, nil
	})
	if err == nil && count == 0 {
		err = fmt.Errorf("%s: the model has no product with a constant float32 matrix of %d rows or more", q.Kind, block)
	}
	e.note("quantize: %d products to %d bits by blocks of %d, %d embeddings to int8", count, bits, block, tables)
	return err
}

// packBlocks quantizes a [k, n] matrix by blocks of a column: codes [n, groups, block·bits/8]
// with the first element in the low bits, scales [n·groups], zero points packed likewise
// with each column's on whole bytes.
func packBlocks(w []float32, k, n, bits, block int) (codes []uint8, scales []float32, zeros []uint8) {
	groups, most, per := (k+block-1)/block, float64(int(1)<<bits-1), 8/bits
	zeroBytes := (groups + per - 1) / per
	codes = make([]uint8, n*groups*block/per)
	scales = make([]float32, n*groups)
	zeros = make([]uint8, n*zeroBytes)
	for j := range n {
		for g := range groups {
			column := make([]float64, 0, block)
			for i := g * block; i < min((g+1)*block, k); i++ {
				column = append(column, float64(w[i*n+j]))
			}
			scale, zero := blockScale(column, most)
			scales[j*groups+g] = scale
			zeros[j*zeroBytes+g/per] |= zero << (g % per * bits)
			for i := range block {
				c := zero // what the last block lacks weighs nothing
				if r := g*block + i; r < k && scale > 0 {
					c = uint8(max(0, min(most, math.RoundToEven(float64(w[r*n+j])/float64(scale))+float64(zero))))
				}
				at := (j*groups+g)*block + i
				codes[at/per] |= c << (at % per * bits)
			}
		}
	}
	return codes, scales, zeros
}

// blockScale finds scale and zero point of a block: the whole range, or one that cuts the
// extremes off where that leaves less squared error, which pays with few codes.
func blockScale(w []float64, most float64) (scale float32, zero uint8) {
	low, high := 0.0, 0.0
	for _, x := range w {
		low, high = min(low, x), max(high, x)
	}
	best := math.Inf(1)
	for _, share := range []float64{1, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7} {
		s := float32((high - low) * share / most)
		if s <= 0 {
			return 0, 0
		}
		z := max(0, min(most, math.RoundToEven(-low*share/float64(s))))
		sum := 0.0
		for _, x := range w {
			c := max(0, min(most, math.RoundToEven(x/float64(s))+z))
			d := x - (c-z)*float64(s)
			sum += d * d
		}
		if sum < best {
			best, scale, zero = sum, s, uint8(z)
		}
	}
	return scale, zero
}
