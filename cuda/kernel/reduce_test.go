package kernel

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/cuda"
)

func (b *bench) reduce(op ReduceOp, outer, n, inner int) {
	x := b.normal(outer * n * inner)
	for i := range x {
		switch op {
		case ReduceProd:
			x[i] = float32(math.Exp(float64(x[i]) / math.Sqrt(float64(n))))
		case ReduceLogSum:
			x[i] = float32(math.Abs(float64(x[i])) + 0.1)
		case ReduceMax, ReduceMin:
			x[i] = pick(op == ReduceMax, x[i]-100, x[i]+100) // 0 would win
			if n > 3 && i == len(x)/2 {
				x[i] = float32(math.NaN())
			}
		}
	}
	call := Reduce{Op: op, X: put(b, x), Y: room[float32](b, outer*inner), Outer: outer, N: n, Inner: inner}
	if w := call.Workspace(); w > 0 {
		call.Scratch = room[byte](b, int(w))
	}
	b.do(AppendReduce(nil, call))
	want, scale := make([]float64, outer*inner), make([]float64, outer*inner)
	for at := range want {
		acc, sum := pick(op == ReduceProd, 1.0, pick(op == ReduceMax, math.Inf(-1), pick(op == ReduceMin, math.Inf(1), 0))), 0.0
		for j := range n {
			v := float64(x[(at/inner*n+j)*inner+at%inner])
			sum += math.Abs(v)
			switch op {
			case ReduceMax:
				acc = nanMax(acc, v)
			case ReduceMin:
				acc = nanMin(acc, v)
			case ReduceProd:
				acc *= v
			case ReduceL1:
				acc += math.Abs(v)
			case ReduceSumSquare, ReduceL2:
				acc += v * v
			default:
				acc += v
			}
		}
		switch op {
		case ReduceSum:
			scale[at] = sum
		case ReduceMean:
			acc, scale[at] = acc/float64(n), sum/float64(n)
		case ReduceL2:
			acc = math.Sqrt(acc)
		case ReduceLogSum:
			acc = math.Log(acc)
			scale[at] = 1
		case ReduceProd:
			scale[at] = math.Abs(acc) * math.Sqrt(float64(n)) / 10 // roundings of n factors
		}
		want[at] = acc
	}
	b.near(fmt.Sprintf("reduction %d of %d×%d×%d", op, outer, n, inner), get[float32](b, call.Y, len(want)), want, scale, 1e-5)
}

func (b *bench) arg(outer, n, inner int, least, last bool, nan bool) {
	x := b.normal(outer * n * inner)
	for i := range x {
		x[i] = float32(math.Round(float64(x[i]) * 2)) // many equal ones
		if nan && b.rng.IntN(n) == 0 {
			x[i] = float32(math.NaN())
		}
	}
	y := room[int64](b, outer*inner)
	b.do(AppendArg(nil, Arg{X: put(b, x), Y: y, Outer: outer, N: n, Inner: inner, Least: least, Last: last}))
	want := make([]int64, outer*inner)
	for at := range want {
		value := func(j int) float64 {
			v := float64(x[(at/inner*n+j)*inner+at%inner])
			if v != v {
				return math.Inf(1)
			}
			return pick(least, -v, v)
		}
		for j := range n {
			if best := value(int(want[at])); value(j) > best || last && value(j) == best {
				want[at] = int64(j)
			}
		}
	}
	equal(b, fmt.Sprintf("arg %d×%d×%d least %v last %v", outer, n, inner, least, last), get[int64](b, y, len(want)), want)
}

func reduceChecks() []check {
	var all []check
	for op := ReduceSum; op <= ReduceLogSum; op++ {
		all = append(all, check{fmt.Sprintf("reduce/%d", op), false, func(b *bench) {
			for _, d := range [][3]int{{1, 1, 1}, {3, 31, 1}, {2, 129, 1}, {2, 300, 1}, {1, 1024, 1}, {3, 4, 5}, {1, 8201, 1}, {5, 33, 7}, {2, 3, 129}, {1, 261, 31},
				{1, 515, 31}} {
				b.reduce(op, d[0], d[1], d[2])
			}
		}}, check{fmt.Sprintf("reduce/big/%d", op), true, func(b *bench) {
			b.reduce(op, 1, 1_000_003, 1)
			b.reduce(op, 1, 3, 333_337)
		}})
	}
	for _, least := range []bool{false, true} {
		for _, last := range []bool{false, true} {
			all = append(all, check{fmt.Sprintf("arg/%v/%v", least, last), false, func(b *bench) {
				for i, d := range [][3]int{{1, 1, 1}, {9, 31, 1}, {50, 261, 1}, {5, 33, 7}, {2, 4, 129}, {9, 9, 31}} {
					b.arg(d[0], d[1], d[2], least, last, i%2 == 0)
					b.arg(d[0], d[1], d[2], least, last, i%2 != 0)
				}
			}})
		}
	}
	for parts := 1; parts <= 8; parts++ {
		all = append(all, check{fmt.Sprintf("sum parts/%d", parts), false, func(b *bench) {
			for _, n := range []int{1, 33, 1043} {
				b.sumParts(parts, n, 0)
				b.sumParts(parts, n, 4)
			}
		}})
	}
	all = append(all, check{"sum parts/big", true, func(b *bench) { b.sumParts(3, 1_000_003, 0) }})
	return all
}

func (b *bench) sumParts(parts, n int, shift int64) {
	want, scale := make([]float64, n), make([]float64, n)
	ptrs := make([]cuda.Ptr, parts)
	for i := range ptrs {
		b.shift = pick(i == parts-1, shift, 0)
		v := b.normal(n)
		for j := range v {
			want[j] += float64(v[j])
			scale[j] += math.Abs(float64(v[j]))
		}
		ptrs[i] = put(b, v)
	}
	b.do(AppendSumParts(nil, ptrs[0], ptrs, int64(n)))
	b.near(fmt.Sprintf("sum of %d parts of %d", parts, n), get[float32](b, ptrs[0], n), want, scale, 1e-5)
}
