package kernel

import (
	"fmt"
	"math"
)

func (b *bench) quantize(outer, channels, inner int, unsigned, zeros bool) {
	n := outer * channels * inner
	x := b.normal(n)
	scale, zero := make([]float32, channels), make([]byte, channels)
	for c := range channels {
		scale[c] = float32(math.Ldexp(1, -c%5-3))
		zero[c] = byte(b.rng.IntN(pick(unsigned, 256, 128)))
	}
	for i := range x {
		x[i] = float32(math.Round(float64(x[i])*16*40)) / 16 // halves of steps too, and beyond the range
	}
	q := Quantize{X: put(b, x), Scale: put(b, scale), Y: room[byte](b, n), Outer: outer, Channels: channels, Inner: inner, Unsigned: unsigned}
	if zeros {
		q.Zero = put(b, zero)
	}
	b.do(AppendQuantize(nil, q))
	got := get[byte](b, q.Y, n)
	want, back := make([]float64, n), make([]float64, n)
	lo := pick(unsigned, 0.0, -128.0)
	number := func(v byte) float64 { return pick(unsigned, float64(v), float64(int8(v))) }
	for i := range x {
		c := i / inner % channels
		z := pick(zeros, number(zero[c]), 0)
		want[i] = min(max(math.RoundToEven(float64(x[i]/scale[c]))+z, lo), lo+255)
		if number(got[i]) != want[i] {
			b.fail("quantize %d×%d×%d: element %d is %v, want %v", outer, channels, inner, i, number(got[i]), want[i])
		}
		back[i] = (want[i] - z) * float64(scale[c])
	}
	d := Dequantize{X: q.Y, Scale: q.Scale, Zero: q.Zero, Y: room[float32](b, n), Outer: outer, Channels: channels, Inner: inner,
		Kind: pick(unsigned, Uint8, Int8)}
	b.do(AppendDequantize(nil, d))
	b.near("dequantize", get[float32](b, d.Y, n), back, nil, 1e-6)
	d.Kind = Int32
	wide, wideZero := b.integers(n, -100000, 100000), b.integers(channels, -50, 50)
	d.X, d.Zero = put(b, convert[int32](wide)), 0
	if zeros {
		d.Zero = put(b, convert[int32](wideZero))
	}
	b.do(AppendDequantize(nil, d))
	for i := range back {
		c := i / inner % channels
		back[i] = float64(wide[i]-pick(zeros, wideZero[c], 0)) * float64(scale[c])
	}
	b.near("dequantize int32", get[float32](b, d.Y, n), back, nil, 1e-6)
}

func (b *bench) dynamic(n int, offset, factor float32) {
	x := b.normal(n)
	for i := range x {
		x[i] = (x[i] + offset) * factor
	}
	d := DynamicQuantize{X: put(b, x), Y: room[byte](b, n), Scale: room[float32](b, 1), Zero: room[byte](b, 1), N: n}
	d.Scratch = room[byte](b, int(d.Workspace()))
	b.do(AppendDynamicQuantize(nil, d))
	var lo, hi float32
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	scale := pick(lo == hi, 1, hi-lo) / 255
	zero := math.RoundToEven(min(max(float64(-lo/scale), 0), 255))
	equal(b, "scale", get[float32](b, d.Scale, 1), []float32{scale})
	equal(b, "zero", get[byte](b, d.Zero, 1), []byte{byte(zero)})
	want := make([]byte, n)
	for i, v := range x {
		want[i] = byte(min(max(math.RoundToEven(float64(v/scale))+zero, 0), 255))
	}
	equal(b, "bytes", get[byte](b, d.Y, n), want)
}

func quantChecks() []check {
	var all []check
	for _, d := range [][3]int{{1, 1, 1}, {1, 1, 257}, {3, 5, 31}, {33, 7, 1}} {
		for i := range 4 {
			all = append(all, check{fmt.Sprintf("quantize/%v/%d", d, i), false, func(b *bench) { b.quantize(d[0], d[1], d[2], i&1 != 0, i&2 != 0) }})
		}
	}
	for _, n := range []int{1, 31, 129, 2049, 9001, 270_001} {
		all = append(all, check{fmt.Sprintf("dynamic/%d", n), false, func(b *bench) {
			b.dynamic(n, 0, 1)
			b.dynamic(n, 10, 3)
			b.dynamic(n, -10, 3)
			b.dynamic(n, 0, 0)
			for range 4 {
				b.dynamic(n, 0, 2)
			}
		}})
	}
	return append(all, check{"dynamic/big", true, func(b *bench) { b.dynamic(1_000_003, 1, 1) }})
}
