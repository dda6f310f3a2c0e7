//go:build !amd64 || !cgo || noasm

package numeral

// Native reports whether ReadFloat32s does anything.
func Native() bool { return false }

// ReadFloat32s reads nothing in this build.
func ReadFloat32s(_, _ []byte, from int) (n, next int) { return 0, from }
