package tensor

// Value is what an edge of a graph can carry: *Tensor, *Sequence, *Map or *Optional.
type Value interface{ isValue() }

// Sequence is an ordered list of values of one type.
type Sequence struct {
	Elem []Value
	// Of is the element type of a sequence of tensors, Invalid when unknown.
	Of DType
}

// Map goes from int64 or string keys to values; Keys is a rank-1 tensor and Values
// holds one value for each key (a tensor of rank 1 for plain maps).
type Map struct {
	Keys   *Tensor
	Values Value
}

// Optional holds a value or nothing (nil).
type Optional struct{ Elem Value }

func (*Tensor) isValue()   {}
func (*Sequence) isValue() {}
func (*Map) isValue()      {}
func (*Optional) isValue() {}

// CloneValue copies a value with its memory.
func CloneValue(v Value) Value {
	switch v := v.(type) {
	case *Tensor:
		return v.Clone()
	case *Sequence:
		c := &Sequence{Of: v.Of, Elem: make([]Value, len(v.Elem))}
		for i, x := range v.Elem {
			c.Elem[i] = CloneValue(x)
		}
		return c
	case *Optional:
		if v.Elem != nil {
			return &Optional{Elem: CloneValue(v.Elem)}
		}
	case *Map:
		return &Map{Keys: v.Keys.Clone(), Values: CloneValue(v.Values)}
	}
	return v
}
