package cache

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
	"github.com/minio/highwayhash"
)

// RawKey identifies a request by its bytes as they came, before anything is parsed: what
// the caller says of its circumstances, and the body. Two requests of equal bytes have the
// same answer while the model version that answered goes on serving, which the caller sees
// to: by a generation among the circumstances, or by a check of what it kept.
type RawKey struct {
	scope, body []byte
	key         key
}

// RawKey makes a key. It refers to both slices, which must not change while it is in use.
func (c *Cache) RawKey(scope, body []byte) RawKey {
	r := RawKey{scope: scope, body: body, key: key{kind: rawBytes, epoch: c.purges.Load()}}
	if len(scope)+len(body) > inlineLimit {
		r.key.big = true
		r.digest()
		return r
	}
	r.key.hash = xxhash.Sum64(body)
	if len(scope) > 0 {
		r.key.hash ^= xxhash.Sum64(scope) * rawMix
	}
	return r
}

// Epoch is the number of purges before the key was made.
func (r *RawKey) Epoch() uint64 { return r.key.epoch }

// At makes a key that of an earlier epoch: what is kept under it is of no use after a purge in between.
func (r *RawKey) At(epoch uint64) *RawKey {
	r.key.epoch = epoch
	return r
}

// rawMix is odd, so that the product loses nothing.
const rawMix = 0x9E3779B97F4A7C15

func (r *RawKey) digest() {
	var length [8]byte
	h, err := highwayhash.New128(secret[:])
	if err != nil {
		panic("BUG: highwayhash: " + err.Error())
	}
	binary.LittleEndian.PutUint64(length[:], uint64(len(r.scope)))
	h.Write(length[:])
	h.Write(r.scope)
	h.Write(r.body)
	h.Sum(r.key.mac[:0])
	r.key.hash = binary.LittleEndian.Uint64(r.key.mac[:8])
}

// same compares byte for byte with the key of an entry, whose form is both parts, each
// behind the other, and whose scope's length is in front.
func (r *RawKey) same(o *key) bool {
	k := &r.key
	if k.hash != o.hash || o.kind != rawBytes || k.epoch != o.epoch || k.big != o.big {
		return false
	}
	if k.big {
		return k.mac == o.mac
	}
	n := len(r.scope)
	return len(o.form) == 8+n+len(r.body) && binary.LittleEndian.Uint64(o.form) == uint64(n) &&
		string(o.form[8:8+n]) == string(r.scope) && string(o.form[8+n:]) == string(r.body)
}

// Raw returns what was kept under an equal key, or nil.
func (c *Cache) Raw(r *RawKey) any {
	e, ok := c.store.Get(r.key.hash)
	if !ok || !r.same(&e.key) {
		return nil
	}
	return e.raw
}

// KeepRaw may keep value, which must not change any more, under a key; size is the memory
// that it takes. It does so from the second time on that it is offered an equal key, and
// not after a purge that came later than the key.
func (c *Cache) KeepRaw(r *RawKey, value any, size int) {
	if !c.knocked(r.key.hash) || r.key.epoch != c.purges.Load() {
		return
	}
	e := &entry{key: r.key, raw: value, cost: 256 + int64(size)}
	if !r.key.big {
		form := make([]byte, 8, 8+len(r.scope)+len(r.body))
		binary.LittleEndian.PutUint64(form, uint64(len(r.scope)))
		e.key.form = append(append(form, r.scope...), r.body...)
		e.cost += int64(len(e.key.form))
	}
	c.store.Set(e.key.hash, e, e.cost)
}

// CountHit counts a request that was answered by what Raw returned.
func (c *Cache) CountHit() { c.stats.Hits.Add(1) }

// knocked reports whether a hash was seen a short while ago, and notes it.
func (c *Cache) knocked(hash uint64) bool {
	door, print := &c.doors[hash%uint64(len(c.doors))], uint32(hash>>32)
	if door.Load() == print {
		return true
	}
	door.Store(print)
	return false
}
