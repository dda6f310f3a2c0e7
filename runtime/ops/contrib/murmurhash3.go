package contrib

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// murmurHash3 gives the 32-bit hash of each element, as exporters of hashed features use it.
func murmurHash3() *ops.Op {
	return &ops.Op{
		Name: "MurmurHash3", Domain: Domain, Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("seed", "positive"),
		Shape: func(c *ops.ShapeCall) error {
			form.Like(c, 0, hashType(c.Node), 0)
			return nil
		},
		Eval: evalMurmurHash3,
	}
}

// hashType is the type of the hashes: without a sign unless the attribute positive says otherwise.
func hashType(n *graph.Node) tensor.DType {
	if n.Attrs.Int("positive", 1) == 1 {
		return tensor.Uint32
	}
	return tensor.Int32
}

var hashed = []tensor.DType{tensor.Int32, tensor.Uint32, tensor.Int64, tensor.Uint64, tensor.Float32, tensor.Float64, tensor.String}

// evalMurmurHash3 hashes the bytes of each element, of numbers in the order that memory has them.
func evalMurmurHash3(c *ops.Call) error {
	x := c.T(0)
	if x == nil || !slices.Contains(hashed, x.DType) {
		return fmt.Errorf("input 0 is %v, expected one of %v", x, hashed)
	}
	y, err := c.Output(0, hashType(c.Node), x.Shape)
	if err != nil {
		return err
	}
	seed, out := uint32(c.Node.Attrs.Int("seed", 0)), y.Bytes()
	if x.DType == tensor.String {
		for i, s := range x.Strings() {
			binary.NativeEndian.PutUint32(out[4*i:], murmur32(unsafe.Slice(unsafe.StringData(s), len(s)), seed))
		}
		return nil
	}
	b, w := x.Bytes(), x.DType.Bits()/8
	for i := range x.Elements() {
		binary.NativeEndian.PutUint32(out[4*i:], murmur32(b[i*w:(i+1)*w], seed))
	}
	return nil
}

// murmur32 is MurmurHash3_x86_32 (Austin Appleby, github.com/aappleby/smhasher).
func murmur32(b []byte, seed uint32) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	mix := func(k uint32) uint32 { return bits.RotateLeft32(k*c1, 15) * c2 }
	h, n := seed, len(b)
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h^mix(binary.LittleEndian.Uint32(b)), 13)*5 + 0xe6546b64
	}
	var tail uint32
	for i, v := range b {
		tail |= uint32(v) << (8 * i)
	}
	h ^= mix(tail) ^ uint32(n)
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}
