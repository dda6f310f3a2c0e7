package kernel

import (
	"fmt"
	"math"
)

func (b *bench) softmax(outer, n, inner int, log bool, offset float32, holes bool) {
	x := b.normal(outer * n * inner)
	for i := range x {
		x[i] = x[i]*3 + offset
		if holes && b.rng.IntN(4) == 0 {
			x[i] = float32(math.Inf(-1))
		}
	}
	for o := range outer { // every row has something
		for i := range inner {
			if at := (o*n)*inner + i; math.IsInf(float64(x[at]), -1) {
				x[at] = offset
			}
		}
	}
	y := room[float32](b, len(x))
	b.do(AppendSoftmax(nil, Softmax{X: put(b, x), Y: y, Outer: outer, N: n, Inner: inner, Log: log}))
	want, scale := make([]float64, len(x)), make([]float64, len(x))
	for o := range outer {
		for i := range inner {
			at := func(j int) int { return (o*n+j)*inner + i }
			top, sum := math.Inf(-1), 0.0
			for j := range n {
				top = max(top, float64(x[at(j)]))
			}
			for j := range n {
				sum += math.Exp(float64(x[at(j)]) - top)
			}
			for j := range n {
				v := float64(x[at(j)]) - top
				if log {
					want[at(j)] = v - math.Log(sum)
					scale[at(j)] = math.Abs(v) + math.Log(sum) + 0.01
					if math.IsInf(v, -1) {
						scale[at(j)] = 0
					}
				} else {
					want[at(j)] = math.Exp(v) / sum
				}
			}
		}
	}
	b.near(fmt.Sprintf("softmax %d×%d×%d", outer, n, inner), get[float32](b, y, len(x)), want, scale, 1e-5)
}

// normalised is one Norm that is tried.
type normalised struct {
	rows, n                       int
	rms                           bool
	skip, bias, gamma, beta, sums bool
	channels                      int
	offset                        float32
}

func (b *bench) norm(c normalised) {
	x := b.normal(c.rows * c.n)
	for i := range x {
		x[i] += c.offset
	}
	call := Norm{X: put(b, x), Y: room[float32](b, len(x)), Rows: c.rows, N: c.n, Eps: 1e-5, RMS: c.rms, Channels: c.channels}
	wide := pick(c.channels > 0, c.channels, c.n)
	skip, bias, gamma, beta := b.normal(len(x)), b.normal(c.n), b.normal(wide), b.normal(wide)
	if c.skip {
		call.Skip = put(b, skip)
	}
	if c.bias {
		call.Bias = put(b, bias)
	}
	if c.gamma {
		call.Gamma = put(b, gamma)
	}
	if c.beta {
		call.Beta = put(b, beta)
	}
	if c.sums {
		call.Sum = room[float32](b, len(x))
	}
	b.do(AppendNorm(nil, call))
	want, scale := make([]float64, len(x)), make([]float64, len(x))
	sums, terms := make([]float64, len(x)), make([]float64, len(x))
	for r := range c.rows {
		row := sums[r*c.n : (r+1)*c.n]
		var mean, square float64
		for i := range row {
			row[i] = float64(x[r*c.n+i])
			terms[r*c.n+i] = math.Abs(row[i]) + math.Abs(float64(skip[r*c.n+i])) + math.Abs(float64(bias[i]))
			if c.skip {
				row[i] += float64(skip[r*c.n+i])
			}
			if c.bias {
				row[i] += float64(bias[i])
			}
			mean += row[i] / float64(c.n)
		}
		if c.rms {
			mean = 0
		}
		for _, v := range row {
			square += (v - mean) * (v - mean) / float64(c.n)
		}
		inv := 1 / math.Sqrt(square+float64(call.Eps))
		for i, v := range row {
			g, o := 1.0, 0.0
			at := pick(c.channels > 0, r%max(c.channels, 1), i)
			if c.gamma {
				g = float64(gamma[at])
			}
			if c.beta {
				o = float64(beta[at])
			}
			want[r*c.n+i] = (v-mean)*inv*g + o
			scale[r*c.n+i] = (terms[r*c.n+i]+math.Abs(mean))*inv*math.Abs(g) + math.Abs(o)
		}
	}
	b.near(fmt.Sprintf("norm %+v", c), get[float32](b, call.Y, len(x)), want, scale, 1e-5)
	if c.sums {
		b.near("sums", get[float32](b, call.Sum, len(x)), sums, terms, 1e-5)
	}
}

func normChecks() []check {
	var all []check
	soft := func(outer, n, inner int, log bool, offset float32, holes, big bool) {
		all = append(all, check{fmt.Sprintf("softmax/%dx%dx%d/%v/%g", outer, n, inner, log, offset), big,
			func(b *bench) { b.softmax(outer, n, inner, log, offset, holes) }})
	}
	for _, log := range []bool{false, true} {
		soft(3, 1, 1, log, 0, false, false)
		soft(5, 31, 1, log, 100, true, false)
		soft(9, 129, 1, log, -100, false, false)
		soft(2, 1023, 1, log, 0, false, false)
		soft(2, 1027, 1, log, 200, true, false)
		soft(3, 33, 7, log, 100, false, false)
		soft(2, 5, 129, log, -50, true, false)
		soft(1, 1_000_003, 1, log, 100, false, true)
	}
	for i, c := range []normalised{
		{rows: 1, n: 1, gamma: true, beta: true},
		{rows: 9, n: 31, gamma: true},
		{rows: 8, n: 33, rms: true, gamma: true, skip: true, sums: true},
		{rows: 3, n: 384, skip: true, bias: true, gamma: true, beta: true, sums: true, offset: 100},
		{rows: 2, n: 1025, gamma: true, beta: true, bias: true, offset: 1000},
		{rows: 3, n: 1300, rms: true, skip: true, gamma: true, sums: true},
		{rows: 10, n: 127, channels: 5, gamma: true, beta: true},
		{rows: 4, n: 1537, channels: 2, gamma: true, beta: true},
		{rows: 17, n: 129},
	} {
		all = append(all, check{fmt.Sprintf("norm/%d/%dx%d", i, c.rows, c.n), false, func(b *bench) { b.norm(c) }})
	}
	for f := range 64 {
		c := normalised{rows: 3, n: 70 + f/32*1000, rms: f%3 == 0, skip: f&1 != 0, bias: f&2 != 0, gamma: f&4 != 0, beta: f&8 != 0, sums: f&16 != 0}
		all = append(all, check{fmt.Sprintf("norm/flags/%+v", c), false, func(b *bench) { b.norm(c) }})
	}
	all = append(all, check{"norm/big", true, func(b *bench) { b.norm(normalised{rows: 1, n: 1_000_003, gamma: true, beta: true, skip: true}) }})
	return all
}
