package transpose

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// TestAgainstGeneric turns matrices of all small extents, rows further apart than they are
// long, and checks that nothing beside the matrix is written or read.
func TestAgainstGeneric(t *testing.T) {
	t.Log(isa.Report())
	r := rand.New(rand.NewPCG(1, 2))
	var sizes [][2]int
	for rows := range 36 {
		for cols := range 36 {
			sizes = append(sizes, [2]int{rows, cols})
		}
	}
	sizes = append(sizes, [2]int{1, 1003}, [2]int{1003, 1}, [2]int{3, 4096}, [2]int{4096, 3}, [2]int{129, 259}, [2]int{640, 160})
	for _, s := range sizes {
		rows, cols := s[0], s[1]
		ldd, lds := rows+r.IntN(3), cols+r.IntN(3)
		n, m := max((rows-1)*lds+cols, 0), max((cols-1)*ldd+rows, 0)
		if rows*cols == 0 {
			n, m = 0, 0
		}
		src := kt.Guarded(t, n)
		for i := range src {
			src[i] = r.Float32()
		}
		got, want := kt.Guarded(t, m), make([]float32, m)
		for i := range want {
			got[i], want[i] = -7, -7
		}
		Words(got, ldd, src, lds, rows, cols, 2)
		generic(want, ldd, src, lds, rows, cols)
		if !slices.Equal(got, want) {
			t.Fatalf("words, %d×%d to rows %d apart from %d apart", rows, cols, ldd, lds)
		}
		bytes, to, wish := make([]byte, n), make([]byte, m), make([]byte, m)
		for i := range bytes {
			bytes[i] = byte(r.Uint32())
		}
		Bytes(to, ldd, bytes, lds, rows, cols, 2)
		generic(wish, ldd, bytes, lds, rows, cols)
		if !slices.Equal(to, wish) {
			t.Fatalf("bytes, %d×%d to rows %d apart from %d apart", rows, cols, ldd, lds)
		}
	}
}

func TestTooShort(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a destination that is too short was taken")
		}
	}()
	Bytes(make([]byte, 11), 3, make([]byte, 12), 4, 3, 4, 1)
}
