package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func dictVectorizer() []*ops.Op {
	return []*ops.Op{{
		Name: "DictVectorizer", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Ints("int64_vocabulary"), form.Strs("string_vocabulary")),
		Bind:  bindDictVectorizer, Eval: ops.Bound(bindDictVectorizer),
	}}
}

// asMap gives an input that is a map, with its values as a tensor as long as the keys.
func asMap(c *ops.Call) (keys, values *tensor.Tensor, err error) {
	m, ok := c.In[0].(*tensor.Map)
	if !ok {
		return nil, nil, fmt.Errorf("input 0 is a %T, expected a map", c.In[0])
	}
	v, ok := m.Values.(*tensor.Tensor)
	if !ok || m.Keys == nil || v.Elements() != m.Keys.Elements() {
		return nil, nil, fmt.Errorf("input 0 is a map whose values are not one tensor as long as the keys")
	}
	return m.Keys, v, nil
}

// bindDictVectorizer: a map becomes one row with the value of each key of the vocabulary,
// zero (or the empty string) where the map has none. Keys outside of it are dropped.
func bindDictVectorizer(n *graph.Node) (func(*ops.Call) error, error) {
	ints, strs := n.Attrs.Ints("int64_vocabulary"), n.Attrs.Strs("string_vocabulary")
	if (len(ints) == 0) == (len(strs) == 0) {
		return nil, fmt.Errorf("one of int64_vocabulary and string_vocabulary is expected")
	}
	byInt, byStr := map[int64]int{}, map[string]int{}
	for i, v := range ints {
		byInt[v] = i
	}
	for i, v := range strs {
		byStr[v] = i
	}
	return func(c *ops.Call) error {
		keys, values, err := asMap(c)
		if err != nil {
			return err
		}
		if (keys.DType == tensor.String) != (len(strs) > 0) || keys.DType != tensor.String && keys.DType != tensor.Int64 {
			return fmt.Errorf("input 0 is a map with %v keys, which the vocabulary's are not", keys.DType)
		}
		y, err := c.Output(0, values.DType, tensor.Shape{1, max(len(ints), len(strs))})
		if err != nil {
			return err
		}
		width := values.DType.Bytes(1)
		for i := range keys.Elements() {
			var at int
			var ok bool
			if keys.DType == tensor.String {
				at, ok = byStr[keys.Strings()[i]]
			} else {
				at, ok = byInt[tensor.Data[int64](keys)[i]]
			}
			switch {
			case !ok:
			case width == 0:
				y.Strings()[at] = values.Strings()[i]
			default:
				copy(y.Bytes()[at*width:(at+1)*width], values.Bytes()[i*width:])
			}
		}
		return nil
	}, nil
}
