package lower

import (
	"sync"

	"github.com/aimass/aimass/runtime/tensor"
)

// Packed keeps what lowerings made of constants, so that all plans of a program
// share it. The key names the constant and the form.
type Packed struct {
	mu sync.Mutex
	m  map[packedKey]packedEntry
}

type packedKey struct {
	t    *tensor.Tensor
	form string
}

type packedEntry struct {
	v     any
	bytes int64
}

// get returns the packed form of t, made by pack on first use. pack says how many bytes
// the form takes.
func (w *Packed) get(t *tensor.Tensor, form string, pack func() (any, int64)) any {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := packedKey{t, form}
	if e, ok := w.m[k]; ok {
		return e.v
	}
	v, n := pack()
	if w.m == nil {
		w.m = map[packedKey]packedEntry{}
	}
	w.m[k] = packedEntry{v, n}
	return v
}

// Bytes is the memory that the packed forms take.
func (w *Packed) Bytes() (n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.m {
		n += e.bytes
	}
	return n
}
