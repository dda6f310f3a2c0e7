// Package pool is the process's one set of worker threads for splitting a single kernel call. In builds with
// cgo the workers are C threads that spin for at most 200 µs after their last task and then sleep on a futex;
// in other builds they are goroutines. A C thread begins with the same share of neighbouring tasks in every
// call, so that it reads what it wrote, and helps the others when it is done.
//
// Neighbours: every room under kernels/ takes a threads argument and hands its
// tasks to this pool, from C through pool.h. The pool belongs to one caller at
// a time: a Run that finds it taken does all its tasks on its own thread, so
// concurrent calls never queue behind each other and never grow threads.
// Safe for concurrent use.
package pool

import (
	goruntime "runtime"
	"sync"
)

var size = sync.OnceValue(func() int {
	n := min(goruntime.GOMAXPROCS(0), goruntime.NumCPU())
	return max(1, min(n, maxThreads))
})

const maxThreads = 64

// Size is the most threads that one Run can use, the caller's among them:
// GOMAXPROCS at the first use, which follows the cgroup's CPU quota.
func Size() int { return size() }

// Threads clamps a wish to 1..Size(). A wish of 0 or less means Size().
func Threads(want int) int {
	if want == 1 {
		return 1
	}
	n := Size()
	if want <= 0 || want > n {
		return n
	}
	return want
}

// Run calls fn(0) … fn(n-1), each once, spread over at most threads threads
// with the caller's among them, and returns when all are done. It serves the
// generic twins; the C kernels use the C pool directly. fn must not call Run.
func Run(n, threads int, fn func(task int)) {
	threads = min(Threads(threads), n)
	if threads <= 1 {
		for i := range n {
			fn(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := 1; w < threads; w++ {
		wg.Go(func() {
			for i := w; i < n; i += threads {
				fn(i)
			}
		})
	}
	for i := 0; i < n; i += threads {
		fn(i)
	}
	wg.Wait()
}

// copyAlone is the number of bytes up to which one thread copies.
const copyAlone = 256 << 10

// CopyRows copies rows of size bytes that lie from bytes apart in src to where they lie
// to bytes apart in dst.
func CopyRows(dst []byte, to int, src []byte, from, size, rows, threads int) {
	if rows == 0 || size == 0 {
		return
	}
	if threads = Threads(threads); threads > 1 && size*rows > copyAlone && rows < 1<<20 {
		copyNative(dst[:(rows-1)*to+size], to, src[:(rows-1)*from+size], from, size, rows, threads)
		return
	}
	for r := range rows {
		copy(dst[r*to:r*to+size], src[r*from:])
	}
}

// Split gives the half-open range of part i of n, of parts that differ by at
// most one unit in length; all bounds but the last are multiples of unit.
func Split(length, unit, i, n int) (lo, hi int) {
	units := (length + unit - 1) / unit
	lo = units * i / n * unit
	hi = units * (i + 1) / n * unit
	return min(lo, length), min(hi, length)
}
