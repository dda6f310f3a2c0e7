package pool

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestRun(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 100} {
		for _, threads := range []int{0, 1, 2, 5} {
			counts := make([]atomic.Int32, n)
			Run(n, threads, func(i int) { counts[i].Add(1) })
			for i := range counts {
				if counts[i].Load() != 1 {
					t.Fatalf("task %d of %d ran %d times", i, n, counts[i].Load())
				}
			}
		}
	}
}

func TestThreads(t *testing.T) {
	if Threads(1) != 1 || Threads(0) != Size() || Threads(-3) != Size() || Threads(1<<20) != Size() {
		t.Fatal("Threads does not clamp to 1..Size()")
	}
}

func TestSplit(t *testing.T) {
	for _, length := range []int{0, 1, 15, 16, 17, 100} {
		for _, n := range []int{1, 2, 3, 9} {
			at := 0
			for i := range n {
				lo, hi := Split(length, 16, i, n)
				if lo != at || hi < lo || (lo%16 != 0 && lo != length) {
					t.Fatalf("Split(%d, 16, %d, %d) = %d, %d after %d", length, i, n, lo, hi, at)
				}
				at = hi
			}
			if at != length {
				t.Fatalf("%d parts of %d end at %d", n, length, at)
			}
		}
	}
}

// Many callers at once: each Run is complete when it returns, whoever holds
// the pool.
func TestConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 200 {
				var sum atomic.Int64
				Run(10, 2, func(i int) { sum.Add(int64(i)) })
				if sum.Load() != 45 {
					t.Error("a task is missing")
				}
			}
		})
	}
	wg.Wait()
}

func TestCopyRows(t *testing.T) {
	for _, c := range [][3]int{{0, 5, 1}, {7, 3, 4}, {100, 1 << 12, 9}, {3, 1 << 18, 0}, {1, 1<<19 + 3, 5}} {
		rows, size, gap := c[0], c[1], c[2]
		src, dst := make([]byte, rows*(size+gap)), make([]byte, rows*(size+1))
		for i := range src {
			src[i] = byte(i*7 + i>>8)
		}
		CopyRows(dst, size+1, src, size+gap, size, rows, 2)
		for i, v := range dst {
			want := byte(0)
			if r, k := i/(size+1), i%(size+1); k < size {
				want = src[r*(size+gap)+k]
			}
			if v != want {
				t.Fatalf("%d rows of %d bytes: byte %d is %d, expected %d", rows, size, i, v, want)
			}
		}
	}
}
