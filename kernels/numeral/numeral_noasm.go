//go:build !amd64 || !cgo || noasm

package numeral

// Native reports whether the functions do anything.
func Native() bool { return false }

// ReadFloat32s reads nothing in this build.
func ReadFloat32s(_, _ []byte, from int) (n, next int) { return 0, from }

// WriteFloat32s writes nothing in this build.
func WriteFloat32s(_, _ []byte) (n, size int) { return 0, 0 }
