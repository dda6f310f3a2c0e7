//go:build unix

package onnx

import (
	"fmt"
	"os"
	"syscall"
)

// mapping is a read-only view of a file.
type mapping struct{ data []byte }

func mapOpen(f *os.File, limit int64) (*mapping, error) {
	n, err := checkSize(f, limit)
	if err != nil || n == 0 {
		return &mapping{}, err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes: %w", n, err)
	}
	return &mapping{data: b}, nil
}

func (m *mapping) close() error {
	if m.data == nil {
		return nil
	}
	b := m.data
	m.data = nil
	return syscall.Munmap(b)
}
