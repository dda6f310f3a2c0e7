package rpc

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/service"
	"github.com/aimass/aimass/server/tracing"
	"github.com/aimass/aimass/server/wire"
)

// call is the memory of one inference, reused.
type call struct {
	service.Call
	results []wire.Result
}

func (h *handler) ModelInfer(ctx context.Context, r *inferencepb.ModelInferRequest) (resp *inferencepb.ModelInferResponse, err error) {
	c := h.calls.Get().(*call)
	span := h.span(ctx, "ModelStreamInfer")
	c.Span = span
	if err = h.infer(ctx, c, r); err == nil {
		resp, err = c.respond(r)
	}
	h.finish(c)
	if span != nil {
		span.Set("aimass.request_id", requestID(ctx, r))
		span.End(err)
	}
	return resp, err
}

// finish gives a call's memory back.
func (h *handler) finish(c *call) {
	c.Finish()
	clear(c.results)
	c.results = c.results[:0]
	h.calls.Put(c)
}

// unaryInfer answers the call ModelInfer in place of the generated handler and the interceptor: on a request that lies
// where it arrived, with an answer that is encoded.
func unaryInfer(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	h, r := srv.(*handler), requests.Get().(*inferRequest)
	defer r.free()
	if err := decode(r); err != nil {
		return nil, err
	}
	began := time.Now()
	m := r.get()
	c := h.calls.Get().(*call)
	span := h.span(ctx, "ModelInfer")
	c.Span = span
	err := h.infer(ctx, c, m)
	var answer *inferAnswer
	if err == nil {
		answer, err = c.encode(m.Id)
	}
	h.finish(c)
	ctx = tracing.With(ctx, span)
	if span != nil {
		span.Set("aimass.request_id", requestID(ctx, m))
		span.End(err)
	}
	if err = h.end(ctx, inferencepb.GRPCInferenceService_ModelInfer_FullMethodName, m, err, began); err != nil {
		return nil, err
	}
	return answer, nil
}

// infer runs a request and reads its results, which hold until the call is finished.
func (h *handler) infer(ctx context.Context, c *call, r *inferencepb.ModelInferRequest) error {
	if err := h.service.Begin(&c.Call, []byte(r.ModelName), []byte(r.ModelVersion), meta(ctx, metaTenant), meta(ctx, metaRoute)); err != nil {
		return err
	}
	if err := bindInputs(&c.Call, r); err != nil {
		return err
	}
	params, err := parameters(r.Parameters)
	if err != nil {
		return err
	}
	if err := c.Params(params); err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok {
		c.Timeout(time.Until(end))
	}
	for _, out := range r.Outputs {
		classes, err := outputClasses(out)
		if err != nil {
			return err
		}
		if err := c.Want([]byte(out.Name), classes, true); err != nil {
			return err
		}
		at, err := sharedPlace(out.Parameters, "output", out.Name)
		if err != nil {
			return err
		}
		if len(at.Region) > 0 {
			if err := c.Share(&at); err != nil {
				return err
			}
		}
	}
	c.WantAll(true)
	if id := requestID(ctx, r); id != "" {
		c.ID = []byte(id)
	}
	if err := c.Run(ctx); err != nil {
		return err
	}
	for k := range c.Outputs {
		out, err := c.Result(k)
		if err != nil {
			return err
		}
		c.results = append(c.results, out)
	}
	return nil
}

// bindInputs checks the inputs and hands them to the call.
func bindInputs(c *service.Call, r *inferencepb.ModelInferRequest) error {
	raw := r.RawInputContents
	if len(raw) > 0 && len(raw) != len(r.Inputs) {
		return api.Errorf(api.CodeSizeMismatch, "expected %d raw input contents for model '%s', got %d", len(r.Inputs), c.Served.Model, len(raw))
	}
	for k, in := range r.Inputs {
		i, err := c.Find([]byte(in.Name))
		if err != nil {
			return err
		}
		if c.In[i].DType != tensor.Invalid {
			return api.Errorf(api.CodeInputDuplicate, "input '%s' comes twice", in.Name)
		}
		at, err := sharedPlace(in.Parameters, "input", in.Name)
		if err != nil {
			return err
		}
		d, shape, err := inputType(c, i, in)
		if err != nil {
			return err
		}
		if len(at.Region) > 0 {
			if len(raw) > k && len(raw[k]) > 0 || in.Contents != nil {
				return api.Errorf(api.CodeParameterInvalid, "input '%s' for model '%s' has contents, and is in shared memory", in.Name, c.Served.Model)
			}
			if err := c.BindShared(i, d, shape, &at); err != nil {
				return err
			}
			continue
		}
		var data []byte
		var strs []string
		switch {
		case len(raw) == 0:
			data, strs, err = typedContents(c.Served.Model, in, d, shape)
		case in.Contents != nil:
			err = api.Errorf(api.CodeParameterInvalid, "input '%s' for model '%s': contents field must not be specified when using raw_input_contents", in.Name, c.Served.Model)
		case d == tensor.String:
			strs, err = wire.SplitBytes(raw[k], shape.Elements())
			if err != nil {
				err = api.Errorf(api.CodeOf(err), "input '%s' for model '%s': %s", in.Name, c.Served.Model, api.Message(err))
			}
		default:
			data = raw[k]
			if want := d.Bytes(shape.Elements()); len(data) != want {
				err = api.Errorf(api.CodeSizeMismatch, "input byte size mismatch for input '%s' for model '%s'. Expected %d, got %d", in.Name, c.Served.Model, want, len(data))
			}
		}
		if err != nil {
			return err
		}
		if err := c.Bind(i, d, shape, data, strs); err != nil {
			return err
		}
	}
	return nil
}

// sharedPlace reads where a tensor lies in shared memory.
func sharedPlace(in map[string]*inferencepb.InferParameter, what, name string) (wire.Shared, error) {
	if len(in) == 0 {
		return wire.Shared{}, nil
	}
	params, err := parameters(in)
	if err != nil {
		return wire.Shared{}, err
	}
	return wire.SharedOf(params, what, []byte(name))
}

// inputType checks an input's datatype and shape.
func inputType(c *service.Call, i int, in *inferencepb.ModelInferRequest_InferInputTensor) (tensor.DType, tensor.Shape, error) {
	d, ok := tensor.ParseV2(in.Datatype)
	if !ok {
		return d, nil, api.Errorf(api.CodeDtypeMismatch, "input '%s': unknown datatype '%s'", in.Name, in.Datatype)
	}
	shape, err := tensor.ShapeOf(in.Shape)
	if err != nil {
		return d, nil, api.Errorf(api.CodeShapeInvalid, "input '%s' for model '%s': %v", in.Name, c.Served.Model, err)
	}
	return d, shape, c.Served.CheckInput(i, d, shape)
}

func outputClasses(out *inferencepb.ModelInferRequest_InferRequestedOutputTensor) (int, error) {
	p := out.Parameters["classification"]
	if p == nil {
		return 0, nil
	}
	choice, ok := p.ParameterChoice.(*inferencepb.InferParameter_Int64Param)
	if !ok || choice.Int64Param < 0 || choice.Int64Param > 1<<31-1 {
		return 0, api.Errorf(api.CodeParameterInvalid, "output '%s': classification must be a whole number, not negative", out.Name)
	}
	return int(choice.Int64Param), nil
}

// parameters turns the protocol's parameters into those of wire, in the order of their names.
func parameters(in map[string]*inferencepb.InferParameter) ([]wire.Param, error) {
	if len(in) == 0 {
		return nil, nil
	}
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	slices.Sort(names)
	out := make([]wire.Param, 0, len(in))
	for _, name := range names {
		q := wire.Param{Key: []byte(name)}
		switch v := in[name].GetParameterChoice().(type) {
		case *inferencepb.InferParameter_BoolParam:
			q.Kind, q.Bool = wire.ParamBool, v.BoolParam
		case *inferencepb.InferParameter_Int64Param:
			q.Kind, q.Int = wire.ParamInt, v.Int64Param
		case *inferencepb.InferParameter_Uint64Param:
			q.Kind, q.Uint = wire.ParamUint, v.Uint64Param
			if v.Uint64Param < 1<<63 {
				q.Kind, q.Int = wire.ParamInt, int64(v.Uint64Param)
			}
		case *inferencepb.InferParameter_StringParam:
			q.Kind, q.Str = wire.ParamString, []byte(v.StringParam)
		case *inferencepb.InferParameter_DoubleParam:
			q.Kind, q.Float = wire.ParamFloat, v.DoubleParam
		default:
			return nil, api.Errorf(api.CodeParameterInvalid, "parameter '%s' has no value", name)
		}
		out = append(out, q)
	}
	return out, nil
}

// resultParameters is the inverse of parameters for those that results have.
func resultParameters(list []wire.Param) map[string]*inferencepb.InferParameter {
	if len(list) == 0 {
		return nil
	}
	out := map[string]*inferencepb.InferParameter{}
	for i := range list {
		q := &list[i]
		if q.Kind == wire.ParamString {
			out[string(q.Key)] = &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_StringParam{StringParam: string(q.Str)}}
		} else {
			out[string(q.Key)] = &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_Int64Param{Int64Param: q.Int}}
		}
	}
	return out
}

// respond makes the response as a message, as streams carry it.
func (c *call) respond(r *inferencepb.ModelInferRequest) (*inferencepb.ModelInferResponse, error) {
	n := len(c.results)
	resp := &inferencepb.ModelInferResponse{ModelName: c.Served.Model, ModelVersion: c.Served.VersionText, Id: r.Id,
		Outputs: make([]*inferencepb.ModelInferResponse_InferOutputTensor, n), RawOutputContents: make([][]byte, n)}
	for k := range c.results {
		out := &c.results[k]
		shape := make([]int64, len(out.Shape))
		for i, d := range out.Shape {
			shape[i] = int64(d)
		}
		resp.Outputs[k] = &inferencepb.ModelInferResponse_InferOutputTensor{Name: out.Name, Datatype: out.DType.V2(), Shape: shape, Parameters: resultParameters(out.Params)}
		var err error
		if resp.RawOutputContents[k], err = appendRaw(make([]byte, 0, rawSize(out)), out); err != nil {
			return nil, err
		}
	}
	return resp, nil
}
