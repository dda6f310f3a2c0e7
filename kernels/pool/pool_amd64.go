//go:build amd64 && cgo && !noasm

package pool

// #cgo CFLAGS: -O3 -std=c11
// #cgo LDFLAGS: -lpthread
// #include "pool.h"
import "C"

import "embed"

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
