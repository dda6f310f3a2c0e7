package isa

import (
	"os"
	"syscall"
	"unsafe"
)

// hugePage is the size of the large pages of amd64 and of arm64 with pages of 4 KiB.
const hugePage = 2 << 20

// populate has the system back memory at once that will be written to at once: a fault for
// each page costs more than what is written there. It asks for large pages too: packed weights
// are streamed through from end to end, and the hardware's prefetchers stop at the end of a page.
// Where the system doesn't know an advice (populating came with Linux 5.14), small pages and
// faults come.
func populate(b []byte) {
	const madvHugepage, madvPopulateWrite = 14, 23
	// Packed weights lie side by side in Go's heap, which grows by aligned pieces of 4 MiB, so
	// the large pages that a slice begins and ends in are the heap's too.
	advise(b, hugePage, madvHugepage)
	advise(b, uintptr(os.Getpagesize()), madvPopulateWrite)
}

func advise(b []byte, page uintptr, advice uintptr) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	from, to := at&^(page-1), (at+uintptr(len(b))+page-1)&^(page-1)
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, from, to-from, advice)
}
