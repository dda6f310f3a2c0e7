package seal

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// private gives zeroed memory for plaintext: in large pages, since nearly all of it is written
// at once, and left out of core dumps.
func private(n int) ([]byte, func(), error) {
	if n == 0 {
		return nil, nil, nil
	}
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, nil, fmt.Errorf("memory for %d bytes: %w", n, err)
	}
	// Where the kernel refuses, nothing but time is lost, and a dump may hold more.
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	_ = unix.Madvise(b, unix.MADV_DONTDUMP)
	return b, func() { _ = unix.Munmap(b) }, nil
}
