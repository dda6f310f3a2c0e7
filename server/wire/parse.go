package wire

import (
	"bytes"
	"math"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/tensor"
)

// once fails where a key that may stand in an object once was seen before; seen has one bit a key.
func (p *parser) once(seen *uint, bit int, key string) error {
	if *seen&(1<<bit) != 0 {
		return p.fail(api.CodeInvalidJSON, "field '%s' comes twice", key)
	}
	*seen |= 1 << bit
	return nil
}

// object reads an object, called what in messages, and calls field for each key, at its value.
func (p *parser) object(what string, field func(key []byte) error) error {
	if err := p.open('{', what); err != nil {
		return err
	}
	for first := true; ; first = false {
		done, err := p.next(first, '}', "an object")
		if done || err != nil {
			return err
		}
		key, err := p.key()
		if err != nil {
			return err
		}
		if err := field(key); err != nil {
			return err
		}
	}
}

// list reads an array, called what in messages, and calls element for each of its elements, at its value.
func (p *parser) list(what string, element func(i int) error) error {
	if err := p.open('[', what); err != nil {
		return err
	}
	for i := 0; ; i++ {
		done, err := p.next(i == 0, ']', what)
		if done || err != nil {
			return err
		}
		if err := element(i); err != nil {
			return err
		}
	}
}

func (r *Request) parseRequest() error {
	p := &r.p
	var seen uint
	err := p.object("the request (an object)", func(key []byte) error { return r.requestField(key, &seen) })
	if err != nil {
		return err
	}
	if p.ws(); p.i < len(p.b) {
		return p.fail(api.CodeTrailingBytes, "%d bytes follow the JSON object", len(p.b)-p.i)
	}
	if seen&(1<<2) == 0 {
		return p.fail(api.CodeFieldMissing, "field 'inputs' is missing")
	}
	for i := range r.Outputs {
		if out := &r.Outputs[i]; !out.binarySet {
			out.Binary = r.BinaryOutput
		}
	}
	return nil
}

func (r *Request) requestField(key []byte, seen *uint) (err error) {
	p := &r.p
	switch string(key) {
	case "id":
		if err := p.once(seen, 0, "id"); err != nil {
			return err
		}
		r.ID, err = p.str("'id'")
		return err
	case "parameters":
		if err := p.once(seen, 1, "parameters"); err != nil {
			return err
		}
		if r.Params, err = p.params(r.Params); err != nil {
			return err
		}
		if q := FindParam(r.Params, "binary_data_output"); q != nil {
			r.BinaryOutput = q.Bool
			return p.kind(q, ParamBool, "a bool")
		}
		return nil
	case "inputs":
		if err := p.once(seen, 2, "inputs"); err != nil {
			return err
		}
		return p.list("'inputs' (an array)", func(int) error { return r.parseInput(r.nextInput()) })
	case "outputs":
		if err := p.once(seen, 3, "outputs"); err != nil {
			return err
		}
		return p.list("'outputs' (an array)", func(i int) error {
			if i >= maxOutputs {
				return p.fail(api.CodeOutputUnexpected, "more than %d outputs are requested", maxOutputs)
			}
			return r.parseOutput(r.nextOutput())
		})
	}
	return p.skip()
}

// Bits of once in an input.
const (
	inputName = iota
	inputShape
	inputType
	inputParams
	inputData

	inputTensor = 1<<inputName | 1<<inputShape | 1<<inputType
)

func (r *Request) parseInput(in *Input) error {
	p := &r.p
	var seen uint
	dataAt := -1
	err := p.object("an element of 'inputs' (an object)", func(key []byte) error {
		switch string(key) {
		case "name":
			return r.inputName(in, &seen)
		case "shape":
			return p.shape(in, &seen)
		case "datatype":
			return p.datatype(in, &seen)
		case "parameters":
			return p.inputParams(in, &seen)
		case "data":
			if err := p.once(&seen, inputData, "data"); err != nil {
				return err
			}
			if seen&inputTensor == inputTensor {
				return p.data(in)
			}
			dataAt = p.i
			return p.skip()
		}
		return p.skip()
	})
	if err != nil {
		return err
	}
	if err := p.complete(in, seen); err != nil {
		return err
	}
	if dataAt >= 0 {
		end := p.i
		p.i = dataAt
		err := p.data(in)
		p.i = end
		return err
	}
	return nil
}

// complete checks that an input has all that it needs, and has its data in one way only.
func (p *parser) complete(in *Input, seen uint) error {
	for bit, field := range [...]string{inputName: "name", inputShape: "shape", inputType: "datatype"} {
		if seen&(1<<bit) == 0 {
			return p.fail(api.CodeFieldMissing, "input '%s': field '%s' is missing", in.Name, field)
		}
	}
	if len(in.Shared.Region) > 0 {
		if seen&(1<<inputData) != 0 || in.BinarySize >= 0 {
			return p.fail(api.CodeInvalidJSON, "input '%s': has data, and is in shared memory", in.Name)
		}
		return nil
	}
	if data := seen&(1<<inputData) != 0; data && in.BinarySize >= 0 {
		return p.fail(api.CodeInvalidJSON, "input '%s': has both 'data' and 'binary_data_size'", in.Name)
	} else if !data && in.BinarySize < 0 {
		return p.fail(api.CodeFieldMissing, "input '%s': field 'data' is missing", in.Name)
	}
	return nil
}

// inputName reads the name. Names are compared with those of all earlier inputs, whose number the Sink bounds by refusing
// unknown ones.
func (r *Request) inputName(in *Input, seen *uint) (err error) {
	p := &r.p
	if err := p.once(seen, inputName, "name"); err != nil {
		return err
	}
	if in.Name, err = p.str("an input's 'name'"); err != nil {
		return err
	}
	for i := range r.Inputs[:len(r.Inputs)-1] {
		if bytes.Equal(r.Inputs[i].Name, in.Name) {
			return p.fail(api.CodeInputDuplicate, "input '%s' comes twice", in.Name)
		}
	}
	return nil
}

func (p *parser) shape(in *Input, seen *uint) error {
	if err := p.once(seen, inputShape, "shape"); err != nil {
		return err
	}
	count := 1
	return p.list("an input's 'shape' (an array)", func(i int) error {
		p.ws()
		d := scanDecimal(p.b, p.i)
		if d.end < 0 {
			return p.unexpected("a dimension (a whole number)")
		}
		text := p.b[p.i:min(d.end, p.i+40)]
		p.i = d.end
		switch {
		case !d.integer():
			return p.fail(api.CodeShapeInvalid, "input '%s': dimension %d is %s, not a whole number", in.Name, i, text)
		case d.neg() && d.mant != 0:
			return p.fail(api.CodeShapeInvalid, "input '%s': dimension %d is negative: %s", in.Name, i, text)
		case i >= maxRank:
			return p.fail(api.CodeShapeInvalid, "input '%s': more than %d dimensions", in.Name, maxRank)
		case d.long() || d.mant > tensor.MaxElements || d.mant != 0 && count > tensor.MaxElements/int(d.mant):
			return p.fail(api.CodeShapeInvalid, "input '%s': the shape has more than %d elements", in.Name, tensor.MaxElements)
		}
		if d.mant != 0 {
			count *= int(d.mant)
		}
		in.Shape = append(in.Shape, int(d.mant))
		return nil
	})
}

func (p *parser) datatype(in *Input, seen *uint) error {
	if err := p.once(seen, inputType, "datatype"); err != nil {
		return err
	}
	name, err := p.str("an input's 'datatype'")
	if err != nil {
		return err
	}
	var ok bool
	if in.DType, ok = tensor.ParseV2(unsafeString(name)); !ok {
		return p.fail(api.CodeDtypeMismatch, "input '%s': unknown datatype '%s'", in.Name, name)
	}
	return nil
}

func (p *parser) inputParams(in *Input, seen *uint) (err error) {
	if err := p.once(seen, inputParams, "parameters"); err != nil {
		return err
	}
	if in.Params, err = p.params(in.Params); err != nil {
		return err
	}
	if in.Shared, err = SharedOf(in.Params, "input", in.Name); err != nil {
		return err
	}
	if q := FindParam(in.Params, "binary_data_size"); q != nil {
		if err := p.kind(q, ParamInt, "a whole number"); err != nil {
			return err
		}
		if q.Int < 0 || q.Int > math.MaxInt32*64 {
			return p.fail(api.CodeParameterInvalid, "input '%s': binary_data_size is %d", in.Name, q.Int)
		}
		in.BinarySize = int(q.Int)
	}
	return nil
}

func (r *Request) parseOutput(out *Output) error {
	p := &r.p
	var seen uint
	err := p.object("an element of 'outputs' (an object)", func(key []byte) (err error) {
		switch string(key) {
		case "name":
			if err := p.once(&seen, 0, "name"); err != nil {
				return err
			}
			out.Name, err = p.str("an output's 'name'")
			return err
		case "parameters":
			if err := p.once(&seen, 1, "parameters"); err != nil {
				return err
			}
			return p.outputParams(out)
		}
		return p.skip()
	})
	if err != nil {
		return err
	}
	if seen&1 == 0 {
		return p.fail(api.CodeFieldMissing, "an output's field 'name' is missing")
	}
	for i := range r.Outputs[:len(r.Outputs)-1] {
		if bytes.Equal(r.Outputs[i].Name, out.Name) {
			return p.fail(api.CodeOutputUnexpected, "output '%s' is requested twice", out.Name)
		}
	}
	return nil
}

func (p *parser) outputParams(out *Output) (err error) {
	if out.Params, err = p.params(out.Params); err != nil {
		return err
	}
	for i := range out.Params {
		switch q := &out.Params[i]; string(q.Key) {
		case "binary_data":
			if err := p.kind(q, ParamBool, "a bool"); err != nil {
				return err
			}
			out.Binary, out.binarySet = q.Bool, true
		case "classification":
			if err := p.kind(q, ParamInt, "a whole number"); err != nil {
				return err
			}
			if q.Int < 0 || q.Int > math.MaxInt32 {
				return p.fail(api.CodeParameterInvalid, "output '%s': classification is %d", out.Name, q.Int)
			}
			out.Classification = int(q.Int)
		}
	}
	out.Shared, err = SharedOf(out.Params, "output", out.Name)
	return err
}

// kind checks the type of a parameter that has a meaning.
func (p *parser) kind(q *Param, want ParamKind, name string) error {
	if q.Kind != want {
		return p.fail(api.CodeParameterInvalid, "parameter '%s' must be %s", q.Key, name)
	}
	return nil
}

// params reads an object of parameters into list, whose memory it uses again.
func (p *parser) params(list []Param) ([]Param, error) {
	list = list[:0]
	err := p.object("'parameters' (an object)", func(key []byte) error {
		if len(list) >= maxParams {
			return p.fail(api.CodeParameterInvalid, "more than %d parameters", maxParams)
		}
		if FindParam(list, unsafeString(key)) != nil {
			return p.fail(api.CodeInvalidJSON, "field '%s' comes twice", key)
		}
		q := Param{Key: key}
		err := p.paramValue(&q)
		list = append(list, q)
		return err
	})
	return list, err
}

func (p *parser) paramValue(q *Param) (err error) {
	switch c := p.peek(); {
	case c == '"':
		q.Kind = ParamString
		q.Str, err = p.str("a parameter")
		return err
	case p.literal("true"):
		q.Kind, q.Bool = ParamBool, true
		return nil
	case p.literal("false"):
		q.Kind, q.Bool = ParamBool, false
		return nil
	case c != '-' && c-'0' > 9:
		from := p.i
		if err := p.skip(); err != nil {
			return err
		}
		p.i = from
		return p.fail(api.CodeParameterInvalid, "parameter '%s' must be a string, a number or a bool", q.Key)
	}
	d := scanDecimal(p.b, p.i)
	if d.end < 0 {
		return p.unexpected("a number")
	}
	text := p.b[p.i:d.end]
	fits := d.integer() && (!d.long() || fitsUint64(text))
	switch {
	case fits && !d.neg() && d.mant <= math.MaxInt64:
		q.Kind, q.Int = ParamInt, int64(d.mant)
	case fits && d.neg() && d.mant <= 1<<63:
		q.Kind, q.Int = ParamInt, -int64(d.mant)
	case fits && !d.neg():
		q.Kind, q.Uint = ParamUint, d.mant
	default:
		var ok bool
		if q.Float, ok = d.parseFloat64(text); !ok {
			return p.fail(api.CodeNumberOutOfRange, "parameter '%s' is out of range", q.Key)
		}
		q.Kind = ParamFloat
	}
	p.i = d.end
	return nil
}
