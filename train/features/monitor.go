package features

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/tensor"
)

// Policy says what happens to an input that training has not seen the like of.
type Policy string

// The policies. Warn counts; Reject also refuses the request.
const (
	Off    Policy = "off"
	Warn   Policy = "warn"
	Reject Policy = "reject"
)

// PolicyParameter of config.pbtxt is off, warn (the default) or reject.
const PolicyParameter = "feature_policy"

// ParsePolicy reads the parameter; "" is Warn.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case "":
		return Warn, nil
	case Off, Warn, Reject:
		return p, nil
	}
	return "", api.Errorf(api.CodeConfigInvalid, "parameter %s is %q, expected off, warn or reject", PolicyParameter, s)
}

// Port is an input or output of the model that serves.
type Port struct {
	Name  string
	DType tensor.DType
}

// Violations counts the values of one feature that training has not seen the like of.
type Violations struct{ Missing, OutOfRange, Unknown atomic.Int64 }

// Monitor checks and counts what a served model is asked.
type Monitor struct {
	Schema *Schema
	Policy Policy
	// Violations are by feature, in the schema's order.
	Violations []Violations
	bound      []bound
	output     int

	mu       sync.Mutex
	now, old window
}

// bound is a feature bound to an input.
type bound struct {
	*Feature
	input int
	codes bool // the input holds places in Categories
	find  map[string]int
}

// Bind ties a schema to a model's inputs and outputs.
func Bind(s *Schema, policy Policy, inputs, outputs []Port) (*Monitor, error) {
	m := &Monitor{Schema: s, Policy: policy, Violations: make([]Violations, len(s.Features)), output: -1}
	for i := range s.Features {
		b := bound{Feature: &s.Features[i], input: -1}
		for k, p := range inputs {
			if p.Name == b.Tensor {
				b.input = k
				b.codes = p.DType.IsInt()
				if !p.DType.IsInt() && p.DType != tensor.Float32 && p.DType != tensor.Float64 && p.DType != tensor.String ||
					b.Kind == Numeric && p.DType == tensor.String {
					return nil, api.Errorf(api.CodeFeatureSchemaInvalid, "%s: %s feature %q lies in input %q, which holds %v", FileName, b.Kind, b.Name, p.Name, p.DType)
				}
			}
		}
		if b.input < 0 {
			return nil, api.Errorf(api.CodeFeatureSchemaInvalid, "%s: feature %q lies in input %q, which the model lacks", FileName, b.Name, b.Tensor)
		}
		if b.Kind == Categorical {
			b.find = make(map[string]int, len(b.Categories))
			for c, name := range b.Categories {
				b.find[name] = c
			}
		}
		m.bound = append(m.bound, b)
	}
	if p := s.Prediction; p != nil {
		for k, o := range outputs {
			if o.Name == p.Tensor && (o.DType == tensor.Float32 || o.DType == tensor.Float64) {
				m.output = k
			}
		}
	}
	m.now, m.old = m.newWindow(), m.newWindow()
	return m, nil
}

// column is a feature's values in one request.
type column struct {
	t          *tensor.Tensor
	rows       int
	at, stride int
}

// columnOf finds a feature's values; ok is false where the tensor has another form than the
// schema says, which is the business of the shape check.
func (b *bound) columnOf(in []tensor.Tensor) (column, bool) {
	t := &in[b.input]
	c := column{t: t, stride: 1}
	switch len(t.Shape) {
	case 1:
		c.rows = t.Shape[0]
	case 2:
		c.rows, c.stride = t.Shape[0], t.Shape[1]
	default:
		return c, false
	}
	c.at = b.Column
	return c, b.Column < c.stride || len(t.Shape) == 1 && b.Column == 0
}

// number reads a value. A request's memory need not be aligned.
func (c *column) number(row int) float64 {
	i := c.at + row*c.stride
	data := c.t.Bytes()
	switch c.t.DType {
	case tensor.Float32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
	case tensor.Float64:
		return math.Float64frombits(binary.LittleEndian.Uint64(data[8*i:]))
	case tensor.Int64:
		return float64(int64(binary.LittleEndian.Uint64(data[8*i:])))
	case tensor.Int32:
		return float64(int32(binary.LittleEndian.Uint32(data[4*i:])))
	case tensor.Int16:
		return float64(int16(binary.LittleEndian.Uint16(data[2*i:])))
	case tensor.Uint8, tensor.Bool:
		return float64(data[i])
	case tensor.Int8:
		return float64(int8(data[i]))
	}
	return math.NaN()
}

// place gives the bin of a row's value; missing and known say what it is otherwise.
func (b *bound) place(c *column, row int) (bin int, missing, known bool) {
	if b.Kind == Numeric {
		v := c.number(row)
		if v != v {
			return 0, true, true
		}
		return binOf(b.Statistics.Cuts, v), false, v >= *b.Low && v <= *b.High
	}
	code := -1
	switch {
	case c.t.DType == tensor.String:
		text := c.t.Strings()[c.at+row*c.stride]
		if text == "" {
			return 0, true, true
		}
		if k, ok := b.find[text]; ok {
			code = k
		}
	default:
		v := c.number(row)
		if v != v || v == -1 && b.Nullable {
			return 0, true, true
		}
		if v >= 0 && v < float64(len(b.Categories)) && v == math.Trunc(v) {
			code = int(v)
		}
	}
	if code < 0 {
		return len(b.Categories), false, false
	}
	return code, false, true
}

// Check counts the values that training has not seen the like of and, if the policy is to
// reject them, returns the first of them as an error.
func (m *Monitor) Check(in []tensor.Tensor) error {
	if m.Policy == Off {
		return nil
	}
	var first error
	for i := range m.bound {
		b := &m.bound[i]
		c, ok := b.columnOf(in)
		if !ok {
			continue
		}
		for row := range c.rows {
			if b.fine(&c, row) {
				continue
			}
			_, missing, _ := b.place(&c, row)
			err := m.violation(i, &c, row, missing)
			if first == nil && m.Policy == Reject {
				first = err
			}
		}
	}
	return first
}

// fine is the quick look at a row's value.
func (b *bound) fine(c *column, row int) bool {
	if b.Kind == Numeric {
		v := c.number(row)
		return v >= *b.Low && v <= *b.High || v != v && b.Nullable
	}
	_, missing, known := b.place(c, row)
	return known && (!missing || b.Nullable)
}

// violation counts a value and describes it.
func (m *Monitor) violation(i int, c *column, row int, missing bool) error {
	b := &m.bound[i]
	switch {
	case missing:
		m.Violations[i].Missing.Add(1)
		if m.Policy != Reject {
			return nil
		}
		return api.Errorf(api.CodeFeatureMissing, "row %d: feature '%s' has no value, and training has seen none without", row, b.Name)
	case b.Kind == Numeric:
		m.Violations[i].OutOfRange.Add(1)
		if m.Policy != Reject {
			return nil
		}
		return api.Errorf(api.CodeFeatureOutOfRange, "row %d: feature '%s' is %v, expected %v to %v", row, b.Name, c.number(row), *b.Low, *b.High)
	}
	m.Violations[i].Unknown.Add(1)
	if m.Policy != Reject {
		return nil
	}
	got := ""
	if c.t.DType == tensor.String {
		got = fmt.Sprintf("%.60q", c.t.Strings()[c.at+row*c.stride])
	} else {
		got = fmt.Sprint(c.number(row))
	}
	return api.Errorf(api.CodeFeatureUnknownCategory, "row %d: feature '%s' is %s, which is none of its %d categories", row, b.Name, got, len(b.Categories))
}
