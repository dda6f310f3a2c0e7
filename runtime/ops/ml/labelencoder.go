package ml

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func labelEncoder() []*ops.Op {
	pairs := form.Join(form.Float("default_float"), form.Int("default_int64"), form.Str("default_string"),
		form.Floats("keys_floats", "values_floats"), form.Ints("keys_int64s", "values_int64s"), form.Strs("keys_strings", "values_strings"))
	op := func(since int, attrs []ops.Attr, read func(graph.Attrs) (k, v, def *tensor.Tensor, err error)) *ops.Op {
		nan := since >= 4
		bind := func(n *graph.Node) (func(*ops.Call) error, error) {
			k, v, def, err := read(n.Attrs)
			if err != nil {
				return nil, err
			}
			return encoder(k, v, def, nan)
		}
		return &ops.Op{
			Name: "LabelEncoder", Domain: Domain, Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: attrs,
			Shape: func(c *ops.ShapeCall) error {
				_, v, _, err := read(c.Node.Attrs)
				if err != nil {
					return err
				}
				return form.SameAs(v.DType)(c)
			},
			Bind: bind, Eval: ops.Bound(bind),
		}
	}
	return []*ops.Op{
		labelEncoder1(),
		op(2, pairs, readPairs),
		op(4, form.Join(pairs, form.Tensors("default_tensor", "keys_tensor", "values_tensor")), readPairs),
	}
}

// labelEncoder1 is the first form: strings become their index among the classes, integers
// the class of that index.
func labelEncoder1() *ops.Op {
	bind := func(n *graph.Node) (func(*ops.Call) error, error) {
		a := n.Attrs
		classes := a.Strs("classes_strings")
		index := make([]int64, len(classes))
		for i := range index {
			index[i] = int64(i)
		}
		names, numbers := tensor.FromStrings(classes, len(classes)), tensor.FromSlice(index, len(index))
		to, err := encoder(names, numbers, tensor.Scalar(a.Int("default_int64", -1)), false)
		if err != nil {
			return nil, err
		}
		from, err := encoder(numbers, names, tensor.FromStrings([]string{a.Str("default_string", "_Unused")}), false)
		if err != nil {
			return nil, err
		}
		return func(c *ops.Call) error {
			if c.T(0).DType == tensor.String {
				return to(c)
			}
			return from(c)
		}, nil
	}
	return &ops.Op{
		Name: "LabelEncoder", Domain: Domain, Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Strs("classes_strings"), form.Int("default_int64"), form.Str("default_string")),
		Shape: func(c *ops.ShapeCall) error {
			if c.In[0].DType == tensor.String {
				return form.SameAs(tensor.Int64)(c)
			}
			return form.SameAs(tensor.String)(c)
		},
		Bind: bind, Eval: ops.Bound(bind),
	}
}

// list reads one of the spellings of keys or values as a tensor, nil if none is given.
func list(a graph.Attrs, prefix string) (*tensor.Tensor, error) {
	var found *tensor.Tensor
	n := 0
	if v := a.Strs(prefix + "_strings"); len(v) > 0 {
		found, n = tensor.FromStrings(v, len(v)), n+1
	}
	if v := a.Ints(prefix + "_int64s"); len(v) > 0 {
		found, n = tensor.FromSlice(v, len(v)), n+1
	}
	if v := a.Floats(prefix + "_floats"); len(v) > 0 {
		found, n = tensor.FromSlice(v, len(v)), n+1
	}
	if v := a.Tensor(prefix + "_tensor"); v != nil {
		found, n = v, n+1
	}
	if n != 1 {
		return nil, fmt.Errorf("%d of %s_strings, %s_int64s, %s_floats and %s_tensor are given, expected one", n, prefix, prefix, prefix, prefix)
	}
	return found, nil
}

func readPairs(a graph.Attrs) (k, v, def *tensor.Tensor, err error) {
	if k, err = list(a, "keys"); err != nil {
		return nil, nil, nil, err
	}
	if v, err = list(a, "values"); err != nil {
		return nil, nil, nil, err
	}
	if k.Elements() != v.Elements() {
		return nil, nil, nil, fmt.Errorf("%d keys for %d values", k.Elements(), v.Elements())
	}
	if def = a.Tensor("default_tensor"); def != nil {
		if def.DType != v.DType || def.Elements() != 1 {
			return nil, nil, nil, fmt.Errorf("default_tensor is %v, expected one %v", def, v.DType)
		}
		return k, v, def, nil
	}
	switch {
	case v.DType == tensor.String:
		def = tensor.FromStrings([]string{a.Str("default_string", "_Unused")})
	case v.DType == tensor.Int64:
		def = tensor.Scalar(a.Int("default_int64", -1))
	case v.DType == tensor.Float32:
		def = tensor.Scalar(a.Float("default_float", 0))
	default:
		def = tensor.New(v.DType, tensor.Shape{})
		if v.DType.IsInt() {
			for i := range def.Bytes() {
				def.Bytes()[i] = 0xff
			}
		}
	}
	return k, v, def, nil
}

// encoder makes the function that maps an input's elements. Of equal keys the first
// counts. NaN is a key like others if nan is set, else it equals nothing.
func encoder(k, v, def *tensor.Tensor, nan bool) (func(*ops.Call) error, error) {
	switch k.DType {
	case tensor.String:
		find := index(k.Strings())
		return encode(func(key string) (int32, bool) { at, ok := find[key]; return at, ok }, (*tensor.Tensor).Strings, k, v, def), nil
	case tensor.Float32:
		return encodeNumbers[float32](k, v, def, nan), nil
	case tensor.Float64:
		return encodeNumbers[float64](k, v, def, nan), nil
	case tensor.Int64:
		return encodeNumbers[int64](k, v, def, nan), nil
	case tensor.Int32:
		return encodeNumbers[int32](k, v, def, nan), nil
	case tensor.Int16:
		return encodeNumbers[int16](k, v, def, nan), nil
	}
	return nil, fmt.Errorf("keys of type %v are not supported", k.DType)
}

// index gives the place of each key; of equal ones, the first. NaN equals nothing.
func index[K comparable](keys []K) map[K]int32 {
	m := make(map[K]int32, len(keys))
	for i, key := range keys {
		if _, ok := m[key]; !ok && key == key {
			m[key] = int32(i)
		}
	}
	return m
}

// number lists the types of keys that are numbers.
type number interface {
	int16 | int32 | int64 | float32 | float64
}

// finder gives the function that finds a key's place. Whole numbers that lie close together
// are looked up in an array.
func finder[K number](keys []K) func(K) (int32, bool) {
	all := index(keys)
	hash := func(key K) (int32, bool) { at, ok := all[key]; return at, ok }
	if len(keys) == 0 {
		return hash
	}
	const far = 1 << 22 // every type counts exactly below it
	low, high := keys[0], keys[0]
	for _, key := range keys {
		if f := float64(key); !(f > -far && f < far) || f != float64(int(f)) {
			return hash
		}
		low, high = min(low, key), max(high, key)
	}
	from, span := int(low), int(high)-int(low)
	if span > 256+4*len(keys) {
		return hash
	}
	table := make([]int32, span+1) // place + 1
	for key, at := range all {
		table[int(key)-from] = at + 1
	}
	return func(key K) (int32, bool) {
		if !(key >= low && key <= high) {
			return 0, false
		}
		n := int(key)
		at := table[n-from] - 1
		return max(at, 0), at >= 0 && K(n) == key
	}
}

func encodeNumbers[K number](k, v, def *tensor.Tensor, nan bool) func(*ops.Call) error {
	return encode(keyFinder(tensor.Data[K](k), nan), tensor.Data[K], k, v, def)
}

// keyFinder is finder, but that NaN is a key like others if nan is set.
func keyFinder[K number](keys []K, nan bool) func(K) (int32, bool) {
	find := finder(keys)
	at := slices.IndexFunc(keys, func(key K) bool { return key != key })
	if !nan || at < 0 {
		return find
	}
	return func(key K) (int32, bool) {
		if key != key {
			return int32(at), true
		}
		return find(key)
	}
}

func encode[K comparable](find func(K) (int32, bool), data func(*tensor.Tensor) []K, k, v, def *tensor.Tensor) func(*ops.Call) error {
	return func(c *ops.Call) error {
		x := c.T(0)
		if x.DType != k.DType {
			return fmt.Errorf("input 0 is %v, the keys are %v", x, k.DType)
		}
		y, err := c.Output(0, v.DType, x.Shape)
		if err != nil {
			return err
		}
		switch in := data(x); v.DType.Bytes(1) {
		case 0:
			place(y.Strings(), in, find, v.Strings(), def.Strings()[0])
		case 1:
			place(tensor.Data[uint8](y), in, find, tensor.Data[uint8](v), tensor.Data[uint8](def)[0])
		case 2:
			place(tensor.Data[uint16](y), in, find, tensor.Data[uint16](v), tensor.Data[uint16](def)[0])
		case 4:
			place(tensor.Data[uint32](y), in, find, tensor.Data[uint32](v), tensor.Data[uint32](def)[0])
		case 8:
			place(tensor.Data[uint64](y), in, find, tensor.Data[uint64](v), tensor.Data[uint64](def)[0])
		default:
			return fmt.Errorf("values of type %v are not supported", v.DType)
		}
		return nil
	}
}

// place sets each element to the value of its key, or to def.
func place[V any, K comparable](out []V, in []K, find func(K) (int32, bool), values []V, def V) {
	for i, key := range in {
		if at, ok := find(key); ok {
			out[i] = values[at]
		} else {
			out[i] = def
		}
	}
}
