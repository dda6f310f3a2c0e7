package layout

import (
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/runtime/tensor"
)

// walk collects the places of indices, a few at a time.
func walk(t *testing.T, p *Places, idx *tensor.Tensor) (all []int64) {
	t.Helper()
	var w PlaceWalk
	for range 2 { // a walk may start again
		if err := w.Start(p, idx); err != nil {
			t.Fatal(err)
		}
		all = all[:0]
		for w.Left() > 0 {
			at, err := w.Next(make([]int64, 7))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, at...)
		}
		w.End()
	}
	return all
}

// indexOf gives the offset of a position in a dense tensor.
func indexOf(s tensor.Shape, at []int) (k int64) {
	for i, n := range s {
		k = k*int64(n) + int64(at[i])
	}
	return k
}

// position gives the k-th position of a shape.
func position(s tensor.Shape, k int) []int {
	at := make([]int, len(s))
	for i := len(s) - 1; i >= 0; i-- {
		at[i], k = k%s[i], k/s[i]
	}
	return at
}

// TestPlaces compares walks with the definitions of the operators.
func TestPlaces(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		data := tensor.Shape{1 + r.IntN(4), 1 + r.IntN(4), 1 + r.IntN(5), 1 + r.IntN(3)}[r.IntN(3):]
		axis := r.IntN(len(data))
		s := data.Clone()
		for k := range s {
			s[k] = 1 + r.IntN(s[k])
		}
		s[axis] = r.IntN(12)
		idx := tensor.New(tensor.Int64, s)
		v := tensor.Data[int64](idx)
		for i := range v {
			v[i] = int64(r.IntN(2*data[axis]) - data[axis])
		}
		got := walk(t, ElementPlaces(data, s, axis), idx)
		if len(got) != len(v) {
			t.Fatalf("%d places of %v", len(got), idx)
		}
		for i, k := range got {
			at := position(s, i)
			at[axis] = (int(v[i]) + data[axis]) % data[axis]
			if want := indexOf(data, at); k != want {
				t.Fatalf("%v, axis %d of %v: place %d is %d, expected %d", idx, axis, data, i, k, want)
			}
		}
		batch := r.IntN(len(data))
		depth := 1 + r.IntN(len(data)-batch)
		s = append(append(data[:batch].Clone(), r.IntN(9), 1+r.IntN(3)), depth)
		few := tensor.New(tensor.Int32, s)
		w := tensor.Data[int32](few)
		for i := range w {
			n := data[batch+i%depth]
			w[i] = int32(r.IntN(2*n) - n)
		}
		for i, k := range walk(t, TuplePlaces(data, s, batch), few) {
			at := append(position(s, i*depth)[:batch:batch], make([]int, len(data)-batch)...)
			for j := range depth {
				n := data[batch+j]
				at[batch+j] = (int(w[i*depth+j]) + n) % n
			}
			if want := indexOf(data, at); k != want {
				t.Fatalf("%v, %d batch axes of %v: place %d is %d, expected %d", few, batch, data, i, k, want)
			}
		}
	}
}

// TestPlacesOutside refuses indices beyond either end.
func TestPlacesOutside(t *testing.T) {
	for _, k := range []int64{3, -4} {
		idx := tensor.FromSlice([]int64{0, k}, 2, 1)
		for _, p := range []*Places{ElementPlaces(tensor.Shape{3, 2}, idx.Shape, 0), TuplePlaces(tensor.Shape{3, 2}, idx.Shape, 0)} {
			var w PlaceWalk
			if err := w.Start(p, idx); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Next(make([]int64, 4)); err == nil {
				t.Errorf("index %d was taken", k)
			}
		}
	}
}
