package onnx

import "syscall"

// idle takes the mapping's pages out of the process's memory; the next access to one
// finds it in the page cache, or reads the file again.
func (m *mapping) idle() {
	if m.data != nil && !m.heap {
		// Advice may be refused; then the pages stay.
		_ = syscall.Madvise(m.data, syscall.MADV_DONTNEED)
	}
}
