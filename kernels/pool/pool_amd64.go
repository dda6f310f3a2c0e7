//go:build amd64 && cgo && !noasm

package pool

// #cgo CFLAGS: -O3 -std=c11
// #cgo LDFLAGS: -lpthread
// #cgo noescape aimass_pool_copy
// #cgo nocallback aimass_pool_copy
// #include "pool.h"
import "C"

import (
	"embed"
	"unsafe"
)

func copyNative(dst []byte, to int, src []byte, from, size, rows, threads int) {
	C.aimass_pool_copy((*C.char)(unsafe.Pointer(unsafe.SliceData(dst))), C.long(to), (*C.char)(unsafe.Pointer(unsafe.SliceData(src))), C.long(from),
		C.long(size), C.long(rows), C.int(threads))
}

// headers makes the package's compiled form change with its header, so that
// the rooms that include it are compiled again.
//
//go:embed pool.h
var headers embed.FS

func init() {
	if _, err := headers.Open("pool.h"); err != nil {
		panic("BUG: pool: " + err.Error())
	}
}
