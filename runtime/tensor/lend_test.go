package tensor

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// pawnshop lends one content, and fills its memory with nonsense where nobody may read it.
type pawnshop struct {
	memory, content []byte
	borrowed        int
	held            bool
	err             error
}

func newPawnshop(content []byte, off int) (*pawnshop, []byte) {
	p := &pawnshop{memory: Aligned(len(content) + off)[off:], content: content}
	p.spoil()
	return p, p.memory
}

func (p *pawnshop) spoil() {
	for i := range p.memory {
		p.memory[i] = 0xff
	}
}

func (p *pawnshop) Await(part []byte) error {
	if p.err == nil {
		p.held = true
		copy(p.memory, p.content)
	}
	return p.err
}

func (p *pawnshop) Borrow(part []byte) error {
	if p.err == nil {
		p.borrowed++
		copy(p.memory, p.content)
	}
	return p.err
}

func (p *pawnshop) Return(part []byte) {
	if p.borrowed--; p.borrowed == 0 && !p.held {
		p.spoil()
	}
}

func TestLend(t *testing.T) {
	want := []float32{1, 2, 3, 4}
	content := bytes.Clone(FromSlice(want, 4).Bytes())
	for off := range 2 {
		p, memory := newPawnshop(content, off)
		x, err := Lent(Float32, Shape{2, 2}, memory, p)
		if err != nil {
			t.Fatal(err)
		}
		lend := func(x *Tensor) {
			t.Helper()
			x.Lend(func(src *Tensor) {
				if !slices.Equal(Data[float32](src), want) || !slices.Equal(Packable[float32](src), want) || !bytes.Equal(src.Origin(), content) {
					t.Errorf("off %d: lent %v", off, Data[float32](src))
				}
			})
		}
		lend(x)
		lend(x.Reshaped(Shape{4}))
		if p.held || p.borrowed != 0 || memory[0] != 0xff {
			t.Errorf("off %d: lending keeps it: %+v", off, p)
		}
		func() {
			defer func() { _ = recover() }()
			x.Lend(func(*Tensor) { panic("in between") })
		}()
		if p.borrowed != 0 {
			t.Errorf("off %d: a panic keeps it borrowed", off)
		}
		// A copy of what is misaligned needs the memory no more; all else does.
		if got := Data[float32](x); !slices.Equal(got, want) || p.held == (off == 1) {
			t.Errorf("off %d: %v, held %v", off, got, p.held)
		}
		lend(x)
		if got := Data[float32](x.Rows(1, 2)); !slices.Equal(got, want[2:]) || !slices.Equal(Data[float32](x.Clone()), want) {
			t.Errorf("off %d: rows %v", off, got)
		}
	}
	x, lent := FromSlice(want, 4), (*Tensor)(nil)
	if x.Lend(func(src *Tensor) { lent = src }); lent != x {
		t.Error("a tensor with memory of its own is not lent as it is")
	}
}

// Whoever asks for elements that can't be had panics with Lost each time, until they can.
func TestLost(t *testing.T) {
	want := []float32{1, 2}
	content := bytes.Clone(FromSlice(want, 2).Bytes())
	gone := errors.New("gone")
	ask := func(do func()) (err error) {
		defer Recover(&err)
		do()
		return nil
	}
	for off := range 2 {
		p, memory := newPawnshop(content, off)
		x, err := Lent(Float32, Shape{2}, memory, p)
		if err != nil {
			t.Fatal(err)
		}
		p.err = gone
		for range 2 {
			lend := func() { x.Lend(func(*Tensor) { t.Error("lent") }) }
			for k, do := range []func(){func() { Data[float32](x) }, func() { x.Origin() }, func() { x.Clone() }, lend} {
				var lost *Lost
				if err := ask(do); !errors.Is(err, gone) || !errors.As(err, &lost) {
					t.Errorf("off %d, %d: %v", off, k, err)
				}
			}
		}
		p.err = nil
		if !slices.Equal(Data[float32](x), want) || ask(func() { x.Origin() }) != nil {
			t.Errorf("off %d: it is not there again", off)
		}
	}
	defer func() {
		if recover() != "other" {
			t.Error("another panic became an error")
		}
	}()
	_ = ask(func() { panic("other") })
}

func TestKept(t *testing.T) {
	p, memory := newPawnshop(make([]byte, 8), 0)
	x, err := Lent(Float32, Shape{2}, memory, Kept{p})
	if err != nil {
		t.Fatal(err)
	}
	x.Lend(func(*Tensor) {})
	if !p.held || p.borrowed != 0 || memory[0] != 0 {
		t.Errorf("%+v", p)
	}
}
