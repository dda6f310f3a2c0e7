package tensor

import (
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// late holds what is done when data are first asked for: they are waited for, and copied if they
// are misaligned.
type late struct {
	of         Lender // nil: they are there
	misaligned bool
	there      atomic.Bool // for good
	copying    sync.Mutex
	copied     atomic.Pointer[[]byte]
}

// arrived is from with its data. A sync.Once would count a panic as done.
func (l *late) arrived(from []byte) []byte {
	if l.of != nil && !l.there.Load() {
		if err := l.of.Await(from); err != nil {
			panic(&Lost{err})
		}
		l.there.Store(true)
	}
	return from
}

func (l *late) borrow(from []byte) {
	if err := l.of.Borrow(from); err != nil {
		panic(&Lost{err})
	}
}

func (l *late) aligned(from []byte) []byte {
	if !l.misaligned {
		return l.arrived(from)
	}
	if c := l.copied.Load(); c != nil {
		return *c
	}
	l.copying.Lock()
	defer l.copying.Unlock()
	if c := l.copied.Load(); c != nil {
		return *c
	}
	if l.of != nil {
		l.borrow(from)
		defer l.of.Return(from)
	}
	c := append(Aligned(len(from))[:0], from...)
	l.copied.Store(&c)
	return c
}

// Origin is the memory that a numeric tensor was made from, which may be misaligned: what Go code
// copies from spares a copy.
func (t *Tensor) Origin() []byte {
	if t.late != nil {
		return t.late.arrived(t.data)
	}
	return t.data
}

// Size is len(Bytes()) without waiting for them.
func (t *Tensor) Size() int { return len(t.data) }

// Misaligned reports that Origin is, so that Data and Bytes are a copy of it.
func (t *Tensor) Misaligned() bool { return t.late != nil && t.late.misaligned }

// Views reports that the tensor's elements lie in b, and are no copy.
func (t *Tensor) Views(b []byte) bool {
	return unsafe.SliceData(t.data) == unsafe.SliceData(b) && !t.Misaligned()
}

// Packable is Data for who only copies single elements in Go, which needs no alignment on
// machines that read anywhere: it spares a copy. Nothing of it may reach C.
func Packable[T Number](t *Tensor) []T {
	if !t.Misaligned() || goruntime.GOARCH != "amd64" && goruntime.GOARCH != "arm64" {
		return Data[T](t)
	}
	var z T
	if size := int(unsafe.Sizeof(z)); t.DType.Bits() != 8*size {
		return Data[T](t) // which says what is wrong
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(t.Origin()))), t.Size()/int(unsafe.Sizeof(z)))
}
