package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Request asks for one inference.
type Request struct {
	Model string
	// Version, "" for the one that the server chooses.
	Version string
	// ID is echoed in the answer and stands in the server's log.
	ID     string
	Inputs []Tensor
	// Outputs wanted; none means all.
	Outputs []Output
	// Timeout makes the server give up, with request_timeout, when it is over; it counts from each attempt. Where it is zero
	// the server is told what is left until the context's deadline.
	Timeout time.Duration
	// Priority, 1 the highest; 0 means the model's default.
	Priority uint64
	// Parameters are custom parameters: strings, bools, integers, floats.
	Parameters map[string]any
	// Traceparent puts the request into a trace of the caller's (W3C Trace Context).
	Traceparent string
	// Tenant, RouteKey and Format replace those of Options.
	Tenant   string
	RouteKey string
	Format   Format
}

// Output names an output that is wanted.
type Output struct {
	Name string
	// Classes, if not 0, asks for the highest that many values as strings "value:index" or "value:index:label".
	Classes int
}

// Result is the answer to a Request.
type Result struct {
	Model, Version, ID string
	Parameters         map[string]any
	Outputs            []Tensor
}

// Infer runs a model. Inputs are read until it returns; the result is the caller's.
func (c *Client) Infer(ctx context.Context, r *Request) (*Result, error) {
	path, err := modelPath(r.Model, r.Version)
	if err != nil {
		return nil, err
	}
	format := r.Format
	if format == DefaultFormat {
		format = c.o.Format
	}
	_, sequence := r.Parameters["sequence_id"]
	q := &call{
		method: http.MethodPost, path: path + "/infer", tenant: r.Tenant, routeKey: r.RouteKey, once: sequence,
		encode: func(ctx context.Context) ([]byte, int, error) { return encodeRequest(ctx, r, format) },
	}
	if r.Traceparent != "" {
		q.header = map[string]string{"Traceparent": r.Traceparent}
	}
	a, err := c.send(ctx, q)
	if err != nil {
		return nil, err
	}
	res, err := decodeResult(a)
	if err != nil {
		return nil, fmt.Errorf("client: the answer of model %q: %w", r.Model, err)
	}
	return res, nil
}

// Output finds an output by its name, nil if there is none.
func (r *Result) Output(name string) *Tensor {
	for i := range r.Outputs {
		if r.Outputs[i].Name == name {
			return &r.Outputs[i]
		}
	}
	return nil
}

func (r *Result) need(name string) (*Tensor, error) {
	if t := r.Output(name); t != nil {
		return t, nil
	}
	names := make([]string, len(r.Outputs))
	for i := range r.Outputs {
		names[i] = r.Outputs[i].Name
	}
	return nil, fmt.Errorf("client: the answer has no output %q, only %q", name, names)
}

// Float32s returns the elements of an output of type FP32, FP16 or BF16.
func (r *Result) Float32s(output string) ([]float32, error) {
	t, err := r.need(output)
	if err != nil {
		return nil, err
	}
	return t.Float32s()
}

// Float64s returns the elements of an output of any floating-point type.
func (r *Result) Float64s(output string) ([]float64, error) {
	t, err := r.need(output)
	if err != nil {
		return nil, err
	}
	return t.Float64s()
}

// Int64s returns the elements of an output of any integer type.
func (r *Result) Int64s(output string) ([]int64, error) {
	t, err := r.need(output)
	if err != nil {
		return nil, err
	}
	return t.Int64s()
}

// Bools returns the elements of an output of type BOOL.
func (r *Result) Bools(output string) ([]bool, error) {
	t, err := r.need(output)
	if err != nil {
		return nil, err
	}
	return t.Bools()
}

// Strings returns the elements of an output of type BYTES.
func (r *Result) Strings(output string) ([]string, error) {
	t, err := r.need(output)
	if err != nil {
		return nil, err
	}
	return t.Strings()
}

var errNoModel = errors.New("client: the model's name is empty")
