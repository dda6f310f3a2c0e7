package cpu_test

import (
	"context"
	"errors"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Rows and elements added, multiplied or compared into places, of which several are the same.
func TestLoweredScatter(t *testing.T) {
	fast := 0
	seeds(t, 150, func(t *testing.T, b *builder) {
		s := tensor.Shape{1 + b.IntN(5), 1 + b.IntN(6), 1 + b.IntN(3) + 40*b.IntN(2)}
		op, a := "ScatterND", attrs{"reduction": graph.StrAttr(one(b, "add", "mul", "max", "min"))}
		at, upd := tensor.Shape{b.IntN(30), b.IntN(80), 1 + b.IntN(3)}, tensor.Shape{}
		limit := func(i int) int { return s[i%at[2]] }
		if b.IntN(2) == 0 {
			upd = append(at[:2].Clone(), s[at[2]:]...)
		} else {
			axis := b.IntN(3)
			op, a["axis"] = "ScatterElements", graph.IntAttr(int64(axis-3*b.IntN(2)))
			for k := range at {
				at[k] = 1 + b.IntN(s[k])
			}
			at[axis] = 1 + b.IntN(40)
			upd, limit = at, func(int) int { return s[axis] }
		}
		index := tensor.New(one(b, tensor.Int32, tensor.Int64), at)
		for i := range at.Elements() {
			k := b.IntN(2*limit(i)) - limit(i)
			if index.DType == tensor.Int32 {
				tensor.Data[int32](index)[i] = int32(k)
			} else {
				tensor.Data[int64](index)[i] = int64(k)
			}
		}
		b.output(b.node(op, a, b.input(b.floats(s...)), b.input(index), b.input(b.floats(upd...))))
		for _, st := range b.check(t, close32) {
			if st.Kernel == "scatter" {
				fast++
			}
		}
	})
	if fast < 100 {
		t.Errorf("%d steps were scatter", fast)
	}
}

// An index that is out of range is refused by the fast path, too.
func TestLoweredScatterRefuses(t *testing.T) {
	for _, k := range []int64{3, -4} {
		b := newBuilder(1)
		b.output(b.node("ScatterND", attrs{"reduction": graph.StrAttr("add")}, b.input(b.floats(3, 2)), b.input(tensor.FromSlice([]int64{0, k}, 2, 1)), b.input(b.floats(2, 2))))
		p, err := cpu.New(registry, cpu.Config{}).Compile(b.g)
		if err != nil {
			t.Fatal(err)
		}
		var refusal *device.Refusal
		if err := p.Run(context.Background(), &device.Call{In: b.in}); !errors.As(err, &refusal) {
			t.Errorf("index %d: error %v", k, err)
		}
	}
}
