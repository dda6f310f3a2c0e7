//go:build unix

package onnx

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapping is a read-only view of a file, or its content where that is small.
type mapping struct {
	data []byte
	heap bool
}

// openFlags keep opening a pipe from waiting for who writes to it.
const openFlags = syscall.O_NONBLOCK

// copyBelow is the size up to which a file is read instead of mapped. A mapped file that
// is overwritten in place changes the weights of a model that serves, and one that is
// cut short kills the process at the next access (SIGBUS). Whoever replaces a larger
// file must write a new one and rename it.
const copyBelow = 16 << 20

func mapOpen(f *os.File, limit int64) (*mapping, error) {
	n, err := checkSize(f, limit)
	if err != nil || n == 0 {
		return &mapping{}, err
	}
	if n <= copyBelow {
		b := make([]byte, n)
		if _, err := io.ReadFull(f, b); err != nil {
			return nil, fmt.Errorf("reading %d bytes: %w", n, err)
		}
		return &mapping{data: b, heap: true}, nil
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes: %w", n, err)
	}
	return &mapping{data: b}, nil
}

// forget drops the whole pages between two offsets.
func (m *mapping) forget(from, to int) {
	if m.heap {
		return
	}
	page := os.Getpagesize()
	if from, to = (from+page-1)/page*page, to/page*page; from < to {
		// A failure costs memory and nothing else.
		_ = unix.Madvise(m.data[from:to], unix.MADV_DONTNEED)
	}
}

func (m *mapping) close() error {
	if m.data == nil {
		return nil
	}
	b := m.data
	m.data = nil
	if m.heap {
		return nil
	}
	return syscall.Munmap(b)
}
