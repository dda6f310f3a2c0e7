package cache

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/highwayhash"

	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/runtime/tensor"
)

// inlineLimit is the size up to which an entry keeps the request's canonical form.
const inlineLimit = 64 << 10

// Scope is what a key says besides the inputs.
type Scope struct {
	Tenant string
	// Generation is unique to one load of one model version in this process.
	Generation uint64
	// Identity is equal for equal models in all processes, which may then share answers by
	// the second tier; empty: they may not.
	Identity string
	// Extra are the requested outputs and parameters in a canonical spelling.
	Extra []byte
}

// key identifies a request. form is the canonical form, but for the tensors' bytes where
// the whole is large: then mac stands for them.
type key struct {
	hash uint64
	form []byte
	mac  [16]byte
	big  bool
	kind keyKind
	// epoch is the number of purges before the request came.
	epoch uint64
}

// keyKind keeps raw keys apart from canonical ones.
type keyKind uint8

const (
	canonical keyKind = iota
	rawBytes
)

var secret = func() (s [32]byte) {
	if _, err := rand.Read(s[:]); err != nil {
		panic("BUG: no random numbers: " + err.Error())
	}
	return s
}()

// appendHeader spells out everything but the tensors' bytes, each part with its length.
func appendHeader(b []byte, s *Scope, r *batcher.Request) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.Generation)
	b = binary.AppendUvarint(b, uint64(len(s.Tenant)))
	b = append(b, s.Tenant...)
	b = binary.AppendUvarint(b, uint64(len(s.Extra)))
	b = append(b, s.Extra...)
	for i := range r.In {
		t := &r.In[i]
		b = append(b, byte(t.DType), byte(len(t.Shape)))
		for _, d := range t.Shape {
			b = binary.AppendUvarint(b, uint64(d))
		}
		b = binary.AppendUvarint(b, uint64(len(t.Bytes())))
		for _, v := range t.Strings() {
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
		}
	}
	return b
}

// makeKey computes the key in buf's memory.
func makeKey(buf []byte, s *Scope, r *batcher.Request) key {
	k := key{form: appendHeader(buf[:0], s, r)}
	size := len(k.form)
	for i := range r.In {
		size += len(r.In[i].Bytes())
	}
	if size > inlineLimit {
		k.big = true
		k.hash, k.mac = digestLarge(k.form, r.In)
		return k
	}
	for i := range r.In {
		k.form = append(k.form, r.In[i].Bytes()...)
	}
	k.hash = xxhash.Sum64(k.form)
	return k
}

func digestLarge(header []byte, in []tensor.Tensor) (hash uint64, mac [16]byte) {
	h, err := highwayhash.New128(secret[:])
	if err != nil {
		panic("BUG: highwayhash: " + err.Error())
	}
	h.Write(header)
	for i := range in {
		h.Write(in[i].Bytes())
	}
	h.Sum(mac[:0])
	return binary.LittleEndian.Uint64(mac[:8]), mac
}

// same reports whether two keys mean the same request.
func (k *key) same(o *key) bool {
	return k.hash == o.hash && k.kind == o.kind && k.epoch == o.epoch && k.big == o.big && k.mac == o.mac && string(k.form) == string(o.form)
}
