package tensor

import (
	goruntime "runtime"
	"sync"
	"unsafe"
)

// copyLate is the size from which misaligned data are copied only when they are asked for:
// weights that lie anywhere in a file, which most often are packed and not asked for again.
const copyLate = 64 << 10

// late is the aligned copy of misaligned data, made once.
type late struct {
	once sync.Once
	data []byte
}

func (l *late) aligned(from []byte) []byte {
	l.once.Do(func() { l.data = append(Aligned(len(from))[:0], from...) })
	return l.data
}

// Origin is the memory that a numeric tensor was made from, which may be misaligned.
func (t *Tensor) Origin() []byte { return t.data }

// Misaligned reports that Origin is, so that Data and Bytes are a copy of it.
func (t *Tensor) Misaligned() bool { return t.late != nil }

// Packable is Data for who only copies single elements in Go, which needs no alignment on
// machines that read anywhere: it spares a copy. Nothing of it may reach C.
func Packable[T Number](t *Tensor) []T {
	if t.late == nil || goruntime.GOARCH != "amd64" && goruntime.GOARCH != "arm64" {
		return Data[T](t)
	}
	var z T
	if size := int(unsafe.Sizeof(z)); t.DType.Bits() != 8*size {
		return Data[T](t) // which says what is wrong
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&t.data[0])), len(t.data)/int(unsafe.Sizeof(z)))
}
