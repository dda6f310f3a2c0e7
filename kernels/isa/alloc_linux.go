package isa

import (
	"os"
	"syscall"
	"unsafe"
)

// populate has the system back memory at once that will be written to at once: a fault for
// each page costs more than what is written there. Where the system doesn't know the advice
// (before Linux 5.14), the faults come.
func populate(b []byte) {
	const madvPopulateWrite = 23
	page := uintptr(os.Getpagesize())
	from := uintptr(unsafe.Pointer(unsafe.SliceData(b))) &^ (page - 1)
	to := (uintptr(unsafe.Pointer(unsafe.SliceData(b))) + uintptr(len(b)) + page - 1) &^ (page - 1)
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, madvPopulateWrite)
}
