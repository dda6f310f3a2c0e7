package hosted

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// The names of the models.
const (
	Schedule  = "appt-schedule"
	Fair      = "appt-schedule-fair"
	Day       = "appt-day"
	Assign    = "appt-assign"
	Wait      = "appt-wait"
	Recommend = "recommend"
)

// Entries lists the models. call runs the other models of the server for recommend; nil
// makes recommend answer that they are not loaded.
func Entries(call native.Caller) []native.Entry {
	return []native.Entry{
		{Name: Schedule, New: newSchedule},
		{Name: Fair, New: newFair},
		{Name: Day, New: newDay},
		{Name: Assign, New: newAssign},
		{Name: Wait, New: newWait},
		{Name: Recommend, New: func(from native.Source) (native.Model, error) { return newRecommend(from, call) }},
	}
}

// known refuses parameters that are not in the list.
func known(from native.Source, names ...string) error {
	for k := range from.Params {
		if !slices.Contains(names, k) {
			have := "none"
			if len(names) > 0 {
				have = strings.Join(names, ", ")
			}
			return fmt.Errorf("parameter %q is unknown; there are: %s", k, have)
		}
	}
	return nil
}

// floats, ints, flags and texts view an input's elements. A flag is any byte but 0.
func floats(v tensor.Value) []float32 { return tensor.Data[float32](v.(*tensor.Tensor)) }
func ints(v tensor.Value) []int32     { return tensor.Data[int32](v.(*tensor.Tensor)) }
func texts(v tensor.Value) []string   { return v.(*tensor.Tensor).Strings() }

func flags(v tensor.Value) []bool {
	bytes := tensor.Data[uint8](v.(*tensor.Tensor))
	out := make([]bool, len(bytes))
	for i, b := range bytes {
		out[i] = b != 0
	}
	return out
}

func shape(v tensor.Value) tensor.Shape { return v.(*tensor.Tensor).Shape }

// fits returns an error unless every input has the shape that want gives, by port; an
// extent of −1 there is any.
func fits(ports []native.Port, in []tensor.Value, want ...tensor.Shape) error {
	for i, w := range want {
		got := shape(in[i])
		for k, d := range w {
			if d >= 0 && got[k] != d {
				return appointment.Errorf(appointment.CodeRaggedBatch, ports[i].Name, "shape %v, expected %v", got, w)
			}
		}
	}
	return nil
}

// outputs allocates and fills outputs.
type outputs struct {
	alloc native.Alloc
	list  []tensor.Value
	err   error
}

func put[T tensor.Number](o *outputs, d tensor.DType, values []T, s ...int) {
	if o.err != nil {
		return
	}
	t, err := o.alloc(d, s)
	if err != nil {
		o.err = err
		return
	}
	copy(tensor.Data[T](t), values)
	o.list = append(o.list, t)
}

func putFlags(o *outputs, values []bool, s ...int) {
	bytes := make([]uint8, len(values))
	for i, v := range values {
		if v {
			bytes[i] = 1
		}
	}
	put(o, tensor.Bool, bytes, s...)
}

func putTexts(o *outputs, values []string, s ...int) {
	if o.err != nil {
		return
	}
	t, err := o.alloc(tensor.String, s)
	if err != nil {
		o.err = err
		return
	}
	copy(t.Strings(), values)
	o.list = append(o.list, t)
}

func (o *outputs) done() ([]tensor.Value, error) {
	if o.err != nil {
		return nil, o.err
	}
	return o.list, nil
}
