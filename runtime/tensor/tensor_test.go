package tensor

import (
	"bytes"
	"slices"
	"testing"
	"unsafe"
)

func TestWalkerBroadcasts(t *testing.T) {
	f := func(a, b Shape) {
		t.Helper()
		out, err := Broadcast(a, b)
		if err != nil {
			t.Fatal(err)
		}
		var got [][3]int
		NewWalker(out, a, b).Run(func(at, n int, off, step []int) {
			for i := range n {
				got = append(got, [3]int{at + i, off[0] + i*step[0], off[1] + i*step[1]})
			}
		})
		if len(got) != out.Elements() {
			t.Fatalf("%v with %v: %d elements, want %d", a, b, len(got), out.Elements())
		}
		for i, g := range got {
			rest, wa, wb, sa, sb := i, 0, 0, a.Strides(), b.Strides()
			for ax := len(out) - 1; ax >= 0; ax-- {
				x := rest % out[ax]
				rest /= out[ax]
				if j := ax - (len(out) - len(a)); j >= 0 && a[j] != 1 {
					wa += x * sa[j]
				}
				if j := ax - (len(out) - len(b)); j >= 0 && b[j] != 1 {
					wb += x * sb[j]
				}
			}
			if g != [3]int{i, wa, wb} {
				t.Fatalf("%v with %v at %d: got %v, want [%d %d %d]", a, b, i, g, i, wa, wb)
			}
		}
	}
	f(Shape{}, Shape{})
	f(Shape{3}, Shape{2, 3})
	f(Shape{2, 1, 4}, Shape{3, 1})
	f(Shape{1}, Shape{2, 2, 2})
	f(Shape{4, 1, 2, 1}, Shape{1, 3, 1, 5})
}

func TestShapeCheck(t *testing.T) {
	for _, s := range []Shape{{-1}, {1 << 30, 1 << 30}, {1 << 41}} {
		if s.Check() == nil {
			t.Errorf("%v passed", s)
		}
	}
	if err := (Shape{0, 1 << 39}).Check(); err != nil {
		t.Error(err)
	}
}

func TestFromBytesMisaligned(t *testing.T) {
	buf := make([]byte, 17)
	for i := range buf {
		buf[i] = byte(i)
	}
	x, err := FromBytes(Int64, Shape{2}, buf[1:])
	if err != nil {
		t.Fatal(err)
	}
	if got := Data[int64](x)[0]; got != 0x0807060504030201 {
		t.Errorf("got %#x", got)
	}
	if _, err := FromBytes(Int64, Shape{3}, buf[1:]); err == nil {
		t.Error("16 bytes passed for int64[3]")
	}
}

// Large misaligned data are copied when they are asked for, once for all views of them.
func TestFromBytesMisalignedLate(t *testing.T) {
	const n = Large / 4
	buf := make([]byte, 4*n+2)
	for i := range buf {
		buf[i] = byte(i * 7)
	}
	x, err := FromBytes(Float32, Shape{2, n / 2}, buf[2:])
	if err != nil {
		t.Fatal(err)
	}
	if &x.Origin()[0] != &buf[2] {
		t.Error("copied before anyone asked")
	}
	packable := Packable[uint32](x)
	y := x.Reshaped(Shape{n})
	got, same := Data[uint32](x), Data[uint32](y)
	if &got[0] != &same[0] || uintptr(unsafe.Pointer(&got[0]))%4 != 0 {
		t.Errorf("%p and %p: want one aligned copy", &got[0], &same[0])
	}
	if !slices.Equal(got, packable) || !bytes.Equal(x.Bytes(), buf[2:]) || !bytes.Equal(x.Clone().Bytes(), buf[2:]) {
		t.Error("the elements differ")
	}
	if !bytes.Equal(x.Rows(1, 2).Bytes(), buf[2+2*n:]) {
		t.Error("rows differ")
	}
}
