package quant

import (
	"math"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

// layout gives the columns of a panel of a packed matrix of n columns, and how many successive
// values of a column lie together.
func layout(level isa.Level, vnni bool, n int) (columns, group int) {
	if level != isa.Generic {
		return layoutNative(level, vnni)
	}
	return n, 1
}

// runGeneric is the specification of the products.
func runGeneric(c *call) {
	pool.Run(c.m, c.threads, func(i int) {
		row := c.a.row(i, c.b.K)
		for j := range c.b.N {
			c.store(i, j, c.sum(row, i, j))
		}
	})
	if c.dq == nil || c.dq.Range == nil {
		return
	}
	for i := range c.m {
		lo, hi := minMaxGeneric(c.f32[i*c.ldc:][:c.b.N])
		c.dq.Range[0], c.dq.Range[1] = min(c.dq.Range[0], lo), max(c.dq.Range[1], hi)
	}
}

func (a *A) row(i, k int) []byte {
	if a.Rows != nil {
		return a.Rows.row(a.Data, i, k)
	}
	return a.Data[min(i*a.LD, len(a.Data)):]
}

func (c *call) sum(row []byte, i, j int) int32 {
	za, zb := c.a.Zero, c.b.Zero
	if c.a.Zeros != nil {
		za = c.a.Zeros[i]
	}
	if c.b.Zeros != nil {
		zb = c.b.Zeros[j]
	}
	var s int32
	for k := range c.b.K {
		av := int32(row[k])
		if c.a.Signed {
			av = int32(int8(row[k]))
		}
		s += (av - za) * (int32(c.b.data[k*c.b.N+j]) + c.b.shift - zb)
	}
	return s
}

func (c *call) store(i, j int, s int32) {
	at := i*c.ldc + j
	switch {
	case c.i32 != nil:
		c.i32[at] = s
	case c.f32 != nil:
		c.f32[at] = c.dq.value(i, j, s)
	default:
		c.u8[at] = c.rq.value(i, j, s)
		if c.rq.Table != nil {
			c.u8[at] = c.rq.Table[c.u8[at]]
		}
	}
}

func (d *Dequant) value(i, j int, s int32) float32 {
	scale := d.Scale
	if scale == 0 {
		scale = 1
	}
	if d.ScaleA != nil {
		scale *= d.ScaleA[i]
	}
	if d.ScaleB != nil {
		scale *= d.ScaleB[j]
	}
	v := float32(s) * scale
	if d.Bias != nil {
		v += d.Bias[j]
	}
	if d.Residual != nil {
		v += d.Residual[i*d.LDR+j]
	}
	return d.Act.Eval(v)
}

func (r *Requant) value(i, j int, s int32) byte {
	scale := r.Scale[0]
	if len(r.Scale) > 1 {
		scale = r.Scale[j]
	}
	if r.Bias != nil {
		s += r.Bias[j]
	}
	v := math.RoundToEven(float64(float32(s)*scale)) + float64(r.Zero)
	if r.Relu {
		v = max(v, float64(r.Zero))
	}
	if a := r.Sum; a != nil {
		own := float32(widen(saturate(v, r.Signed), r.Signed)-r.Zero) * a.ScaleC
		sum := own + float32(widen(a.Data[i*a.LD+j], r.Signed)-a.ZeroA)*a.ScaleA
		v = math.RoundToEven(float64(sum/a.Scale)) + float64(a.Zero)
		if a.Relu {
			v = max(v, float64(a.Zero))
		}
	}
	return saturate(v, r.Signed)
}

func widen(b byte, signed bool) int32 {
	if signed {
		return int32(int8(b))
	}
	return int32(b)
}

func saturate(v float64, signed bool) byte {
	if signed {
		return byte(int8(max(-128, min(127, v))))
	}
	return byte(max(0, min(255, v)))
}

func minMaxGeneric(x []float32) (lo, hi float32) {
	for _, v := range x {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi
}

func quantizeGeneric(dst []byte, x []float32, scale float32, zero int32, signed bool) {
	for i, v := range x {
		q := math.RoundToEven(float64(v / scale))
		if math.IsNaN(q) {
			q = 0
		}
		dst[i] = saturate(q+float64(zero), signed)
	}
}

func dequantizeGeneric(dst []float32, x []byte, scale float32, zero int32, signed bool) {
	for i, v := range x {
		q := int32(v)
		if signed {
			q = int32(int8(v))
		}
		dst[i] = float32(q-zero) * scale
	}
}
