package wire

import "github.com/aimass/aimass/api"

// Shared says that a tensor lies in shared memory; without a Region it doesn't.
type Shared struct {
	Region       []byte
	Offset, Size uint64
}

// Names of the parameters that place a tensor in shared memory.
const (
	sharedRegion = "shared_memory_region"
	sharedSize   = "shared_memory_byte_size"
	sharedOffset = "shared_memory_offset"
)

// SharedOf reads the parameters that place a tensor, called what in messages, in shared memory.
func SharedOf(params []Param, what string, name []byte) (s Shared, err error) {
	q := FindParam(params, sharedRegion)
	if q == nil {
		return s, nil
	}
	if q.Kind != ParamString || len(q.Str) == 0 {
		return s, api.Errorf(api.CodeParameterInvalid, "%s '%s': parameter '%s' must be a string that is not empty", what, name, sharedRegion)
	}
	s.Region = q.Str
	number := func(key string, needed bool) (n uint64, err error) {
		switch q := FindParam(params, key); {
		case q == nil && !needed:
			return 0, nil
		case q != nil && q.Kind == ParamInt && q.Int >= 0:
			return uint64(q.Int), nil
		case q != nil && q.Kind == ParamUint:
			return q.Uint, nil
		}
		return 0, api.Errorf(api.CodeParameterInvalid, "%s '%s': parameter '%s' must be a whole number, not negative", what, name, key)
	}
	if s.Size, err = number(sharedSize, true); err != nil {
		return s, err
	}
	s.Offset, err = number(sharedOffset, false)
	return s, err
}

// Params spells the place as parameters of a result of size bytes.
func (s *Shared) Params(size uint64) []Param {
	out := []Param{{Key: []byte(sharedRegion), Kind: ParamString, Str: s.Region}, {Key: []byte(sharedSize), Kind: ParamInt, Int: int64(size)}}
	if s.Offset > 0 {
		out = append(out, Param{Key: []byte(sharedOffset), Kind: ParamInt, Int: int64(s.Offset)})
	}
	return out
}
