//go:build !unix

package onnx

import (
	"io"
	"os"
)

const openFlags = 0

// mapping holds a file's bytes; where there is no mmap they are read.
type mapping struct{ data []byte }

func mapOpen(f *os.File, limit int64) (*mapping, error) {
	n, err := checkSize(f, limit)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(f, b)
	return &mapping{data: b}, err
}

func (m *mapping) forget(from, to int) {}

func (m *mapping) close() error {
	m.data = nil
	return nil
}
