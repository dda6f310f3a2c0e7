package service

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/shm"
	"github.com/aimass/aimass/server/tracing"
	"github.com/aimass/aimass/server/wire"
)

// Call is one inference request. Its life: Begin, Bind for each input, Params, Want for each requested output, Run, then
// Outputs to read, and Finish in any case. It may be used again after Finish.
type Call struct {
	pipeline.Call
	// Served is the version that answers.
	Served *pipeline.Served
	// Outputs are the outputs to return, in the order asked for.
	Outputs []Output
	// ID is the request's, for the log; Span its span, nil where it has none. Both are set
	// before Run, if at all.
	ID   []byte
	Span *tracing.Span

	service *Service
	extra   []byte
	asked   []byte   // the version, as asked for
	copies  [][]byte // of inputs out of shared memory, by position
}

// Output is an output to return.
type Output struct {
	Position int // among the model's outputs
	// Classes is how many of the best classes to return, 0 for the plain tensor.
	Classes int
	// Binary is the caller's to use.
	Binary bool

	region *shm.Region // nil: the output goes into the answer
	shared wire.Shared
}

// Begin finds the version that answers; route, unless empty, keeps a caller on one side of a canary. The bytes of name
// and version are not kept.
func (s *Service) Begin(c *Call, name, version []byte, tenant, route string) error {
	v, err := s.resolveFor(name, version, route)
	if err != nil {
		return err
	}
	c.service, c.Served, c.Arrived = s, v, time.Now()
	c.Tenant, c.Deadline, c.Priority, c.Rows = tenant, time.Time{}, 0, 0
	c.Sequence, c.Route = pipeline.Sequence{}, route
	c.Outputs, c.extra, c.asked = c.Outputs[:0], c.extra[:0], append(c.asked[:0], version...)
	if n := len(v.Inputs); cap(c.In) < n {
		c.In = make([]tensor.Tensor, n)
	} else {
		c.In = c.In[:n]
	}
	clear(c.In) // an input that stays so was left out
	return nil
}

// Find returns the position of an input.
func (c *Call) Find(name []byte) (int, error) {
	return c.Served.Find(name)
}

// Bind makes data, or strs for BYTES, the input at a position. Type and shape have been checked with Served.CheckInput,
// the length of data against both. They are read until Run returns.
func (c *Call) Bind(i int, d tensor.DType, shape tensor.Shape, data []byte, strs []string) error {
	if d == tensor.String {
		c.In[i].ViewStrings(shape, strs)
		return nil
	}
	if c.Served.RejectNaN {
		if k := wire.FindNotFinite(d, data); k >= 0 {
			return api.Errorf(api.CodeNaNNotAllowed, "input '%s' for model '%s': element %d is NaN or infinite, which the model's configuration forbids",
				c.Served.Inputs[i].Name, c.Served.Model, k)
		}
	}
	c.In[i].View(d, shape, data)
	return nil
}

// Params reads the parameters that have a meaning, and puts those of the model into the cache's key.
func (c *Call) Params(params []wire.Param) error {
	for i := range params {
		q := &params[i]
		switch string(q.Key) {
		case "timeout":
			if err := c.timeout(q); err != nil {
				return err
			}
		case "priority":
			if q.Kind != wire.ParamInt && q.Kind != wire.ParamUint || q.Kind == wire.ParamInt && q.Int < 0 {
				return api.Errorf(api.CodeParameterInvalid, "parameter 'priority' must be a whole number, not negative")
			}
			c.Priority = int(min(q.Int, math.MaxInt32))
			if q.Kind == wire.ParamUint {
				c.Priority = math.MaxInt32
			}
		case "sequence_id", "sequence_start", "sequence_end":
			if err := c.sequence(q); err != nil {
				return err
			}
		case "binary_data_output", "headers", "triton_enable_empty_final_response":
		default:
			c.extra = wire.AppendParam(c.extra, q)
			c.extra = append(c.extra, 0)
		}
	}
	return nil
}

// sequence reads the parameters that place a request in a sequence.
func (c *Call) sequence(q *wire.Param) error {
	switch key := string(q.Key); {
	case key == "sequence_id" && q.Kind == wire.ParamString:
		c.Sequence.Text, c.Sequence.Number = string(q.Str), 0
	case key == "sequence_id" && q.Kind == wire.ParamInt && q.Int >= 0:
		c.Sequence.Text, c.Sequence.Number = "", uint64(q.Int)
	case key == "sequence_id" && q.Kind == wire.ParamUint:
		c.Sequence.Text, c.Sequence.Number = "", q.Uint
	case key == "sequence_id":
		return api.Errorf(api.CodeSequenceInvalid, "parameter 'sequence_id' must be a whole number, not negative, or a string")
	case q.Kind != wire.ParamBool:
		return api.Errorf(api.CodeSequenceInvalid, "parameter '%s' must be a bool", q.Key)
	case key == "sequence_start":
		c.Sequence.Start = q.Bool
	default:
		c.Sequence.End = q.Bool
	}
	return nil
}

// timeout reads the parameter of this name, in microseconds; 0 means none.
func (c *Call) timeout(q *wire.Param) error {
	us := q.Int
	if q.Kind == wire.ParamUint {
		us = math.MaxInt64
	} else if q.Kind != wire.ParamInt || us < 0 {
		return api.Errorf(api.CodeParameterInvalid, "parameter 'timeout' must be a number of microseconds, not negative")
	}
	if us > 0 {
		c.Timeout(time.Duration(min(us, math.MaxInt64/int64(time.Microsecond))) * time.Microsecond)
	}
	return nil
}

// Timeout makes the answer worthless after d; of several the shortest counts.
func (c *Call) Timeout(d time.Duration) {
	if t := deadline(c.Arrived, d); c.Deadline.IsZero() || t.Before(c.Deadline) {
		c.Deadline = t
	}
}

// deadline is d after from.
func deadline(from time.Time, d time.Duration) time.Time {
	const year = 365 * 24 * time.Hour // beyond it a sum with the present could overflow
	return from.Add(min(d, year))
}

// Want asks for an output by name.
func (c *Call) Want(name []byte, classes int, binary bool) error {
	i, err := c.Served.FindOutput(name)
	if err != nil {
		return err
	}
	for k := range c.Outputs {
		if c.Outputs[k].Position == i {
			return api.Errorf(api.CodeOutputUnexpected, "output '%s' is requested twice", name)
		}
	}
	c.Outputs = append(c.Outputs, Output{Position: i, Classes: classes, Binary: binary})
	return nil
}

// WantAll asks for every output where none was named.
func (c *Call) WantAll(binary bool) {
	if len(c.Outputs) > 0 {
		return
	}
	for i := range c.Served.Outputs {
		if c.Served.Outputs[i].Hidden {
			continue
		}
		c.Outputs = append(c.Outputs, Output{Position: i, Binary: binary})
	}
}

// Run computes the outputs.
func (c *Call) Run(ctx context.Context) error {
	if len(c.asked) == 0 {
		if v := c.service.pipe.Elsewhere(c.Served, &c.Call); v != nil {
			c.Served.Done()
			c.Served = v
		}
	}
	if len(c.extra) > 0 || !c.wantsAll() {
		c.extra = append(c.extra, 1)
		for _, o := range c.Outputs {
			c.extra = append(c.extra, byte(o.Position), byte(o.Position>>8))
		}
	}
	c.Extra = c.extra
	if err := c.fits(); err != nil {
		return err
	}
	c.routed()
	began := time.Now()
	err := c.Served.Infer(ctx, &c.Call)
	c.ran(began, err)
	return err
}

func (c *Call) wantsAll() bool {
	if len(c.Outputs) != len(c.Served.Outputs) {
		return false
	}
	for i := range c.Outputs {
		if c.Outputs[i].Position != i {
			return false
		}
	}
	return true
}

// Result returns one of Outputs as it is to be sent, after Run succeeded.
func (c *Call) Result(k int) (wire.Result, error) {
	r, err := c.result(k)
	return r, c.Unsent(err)
}

// Unsent is the error of an answer that can't be sent; it says what the request has done all the same.
func (c *Call) Unsent(err error) error {
	if err == nil || !c.Served.KeepsState() {
		return err
	}
	return api.Wrap(api.CodeOf(err), errors.Unwrap(err), "%s. The model ran: the state of sequence %v has moved on", api.Message(err), &c.Sequence)
}

func (c *Call) result(k int) (wire.Result, error) {
	o := &c.Outputs[k]
	port := &c.Served.Outputs[o.Position]
	t, ok := c.Out[o.Position].(*tensor.Tensor)
	if !ok {
		return wire.Result{}, api.Errorf(api.CodeUnsupported, "output '%s' for model '%s' is not a tensor, the protocol has no form for it", port.Name, c.Served.Model)
	}
	r := wire.Result{Name: port.Name, DType: t.DType, Shape: t.Shape, Data: t.Bytes(), Strings: t.Strings(), Binary: o.Binary}
	if o.Classes > 0 {
		var err error
		if r, err = c.classify(port, t, o); err != nil {
			return r, err
		}
	}
	if o.region != nil {
		return r, o.place(&r)
	}
	return r, nil
}

// Finish gives everything back; outputs must not be read afterwards. It is harmless on a Call that never began.
func (c *Call) Finish() {
	c.Release()
	c.dropShared()
	if c.Served != nil {
		c.Served.Done()
		c.Served = nil
	}
	clear(c.In)
	c.ID, c.Span, c.Mirrored = nil, nil, nil
}
