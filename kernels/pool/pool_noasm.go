//go:build !amd64 || !cgo || noasm

package pool

func copyNative(dst []byte, to int, src []byte, from, size, rows, threads int) {
	Run(rows, threads, func(r int) { copy(dst[r*to:r*to+size], src[r*from:]) })
}
