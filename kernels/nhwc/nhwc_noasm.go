//go:build !amd64 || !cgo || noasm

package nhwc

import "github.com/aimass/aimass/kernels/isa"

const maxPlaces = 124

func (d *Depthwise) native([]byte, []byte, int) { panic("BUG: nhwc: no native code in this build") }

func mapNative(isa.Features, []byte, int, []byte, int, int, int, *[256]byte, int) {
	panic("BUG: nhwc: no native code in this build")
}

func combineNative(isa.Features, []byte, []byte, []byte, int, int, *Pair, int) {
	panic("BUG: nhwc: no native code in this build")
}
