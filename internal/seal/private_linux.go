package seal

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// private gives zeroed memory for plaintext that begins at a large page: in large pages, since nearly all of it is written
// at once, and left out of core dumps. drop gives the memory of whole units back, which are zeros then.
func private(n int) (b []byte, free func(), drop func(from, to int) error, err error) {
	if n == 0 {
		return nil, nil, nil, nil
	}
	// What lies before the first large page, and after the last, is never touched and takes no memory.
	all, err := unix.Mmap(-1, 0, n+unitBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("memory for %d bytes: %w", n, err)
	}
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(all))) % unitBytes)
	b = all[skip : skip+n : skip+n]
	// Where the kernel refuses, nothing but time is lost, and a dump may hold more.
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	_ = unix.Madvise(b, unix.MADV_DONTDUMP)
	drop = func(from, to int) error {
		return unix.Madvise(all[skip+from:min(skip+to, len(all))], unix.MADV_DONTNEED)
	}
	return b, func() { _ = unix.Munmap(all) }, drop, nil
}
