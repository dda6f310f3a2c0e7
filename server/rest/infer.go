package rest

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/service"
	"github.com/aimass/aimass/server/sock"
	"github.com/aimass/aimass/server/tracing"
	"github.com/aimass/aimass/server/wire"
)

// job is the memory of one request, reused.
type job struct {
	h *Handler
	// raw is the body as sent, plain as decompressed.
	raw, plain []byte
	// id is echoed in a header: the body's id, or the header X-Request-Id. givenID is what the caller gave, for texts.
	id, givenID []byte
	// model and version are for the log. inference: texts get the request's prefix.
	model, version []byte
	inference      bool
	tenant         string
	span           *tracing.Span

	request  wire.Request
	call     service.Call
	response wire.Response
	data     [][]byte // for inputs that come as JSON, by position in the model

	// scope and key find a remembered answer; usesKey says that they are set.
	scope   []byte
	key     cache.RawKey
	usesKey bool
	// generation is the version's, as it was when the request came.
	generation uint64
}

func (j *job) reset(h *Handler) {
	j.h = h
	j.raw = j.raw[:0] // its length is what the log says came
	j.id, j.givenID, j.model, j.version = j.id[:0], j.givenID[:0], j.model[:0], j.version[:0]
	j.inference, j.usesKey, j.tenant, j.span = false, false, "", nil
}

func (j *job) begin(h *Handler, ctx *fasthttp.RequestCtx) {
	j.reset(h)
	if id := ctx.Request.Header.PeekBytes(headerRequestID); len(id) > 0 && usableID(id) {
		j.id = append(j.id, id...)
		j.givenID = append(j.givenID, id...)
	}
}

// keepBytes bounds the memory that an idle job may hold in each of its buffers.
const keepBytes = 4 << 20

func (j *job) end() {
	j.call.Finish()
	j.call.Caller = nil
	j.request.Reset()
	j.key = cache.RawKey{}
	clear(j.response.Outputs)
	j.response.Outputs, j.response.ID = j.response.Outputs[:0], nil
	if cap(j.raw) > keepBytes {
		j.raw = nil
	}
	if cap(j.plain) > keepBytes {
		j.plain = nil
	}
	for i := range j.data {
		if cap(j.data[i]) > keepBytes {
			j.data[i] = nil
		}
	}
	j.h = nil
}

// Model, Check and Buffer make a job the Sink of its request.
func (j *job) Model() string { return j.call.Served.Model }

func (j *job) Check(in *wire.Input) error {
	i, err := j.call.Find(in.Name)
	if err != nil {
		return err
	}
	return j.call.Served.CheckInput(i, in.DType, in.Shape)
}

func (j *job) Buffer(in *wire.Input, size int) []byte {
	if in.BinarySize >= 0 {
		return nil // the body stays unchanged until the job ends
	}
	i, _ := j.call.Served.Find(in.Name)
	for len(j.data) <= i {
		j.data = append(j.data, nil)
	}
	if cap(j.data[i]) < size {
		j.data[i] = tensor.Aligned(size + size/4)
	}
	return j.data[i][:size]
}

// infer answers POST …/infer.
func (h *Handler) infer(ctx *fasthttp.RequestCtx, j *job, name, version []byte) error {
	j.inference = true
	j.model, j.version = append(j.model, name...), append(j.version, version...)
	body, err := h.read(ctx, j)
	if err != nil {
		return err
	}
	j.tenant = string(ctx.Request.Header.PeekBytes(headerTenant))
	if err := h.service.Begin(&j.call, name, version, j.tenant, string(ctx.Request.Header.PeekBytes(headerRoute))); err != nil {
		j.findID(body, ctx)
		return err
	}
	if j.call.Served.Cached && j.recall(ctx, body) {
		return nil
	}
	if h.crowded(time.Now()) {
		if err := j.turnedAway(ctx, body); err != nil {
			return err
		}
	}
	n, err := jsonLength(ctx)
	if err != nil {
		return err
	}
	if err := j.parse(body, n); err != nil {
		return err
	}
	timeout, err := headerDuration(ctx)
	if err != nil {
		return err
	}
	if err := j.prepare(timeout); err != nil {
		return err
	}
	if c, ok := ctx.Conn().(*sock.Conn); ok {
		j.call.Caller = c
	}
	if len(j.id) == 0 && h.service.Observed() {
		j.id = newID(j.id)
	}
	j.call.ID, j.call.Span = j.id, j.span
	if err := j.call.Run(context.Background()); err != nil {
		return err
	}
	if err := j.respond(ctx); err != nil {
		return err
	}
	if j.usesKey && j.call.Outcome == pipeline.FromCache {
		j.remember(ctx)
	}
	return nil
}

// jsonLength reads the header Inference-Header-Content-Length; -1 where it is absent.
func jsonLength(ctx *fasthttp.RequestCtx) (int, error) {
	text := ctx.Request.Header.PeekBytes(headerLength)
	if len(text) == 0 {
		return -1, nil
	}
	n, err := fasthttp.ParseUint(text)
	if err != nil {
		return 0, api.Errorf(api.CodeHeaderLengthInvalid, "Inference-Header-Content-Length is '%s', not a length", text)
	}
	return n, nil
}

// headerDuration reads the header X-Request-Timeout-Ms; 0 where it is absent.
func headerDuration(ctx *fasthttp.RequestCtx) (time.Duration, error) {
	text := ctx.Request.Header.PeekBytes(headerTimeout)
	if len(text) == 0 {
		return 0, nil
	}
	ms, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		return 0, api.Errorf(api.CodeParameterInvalid, "header X-Request-Timeout-Ms is '%s', not a number of milliseconds", text)
	}
	return time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond, nil
}

// parse reads a body whose JSON has length n; -1 means all of it, 0 that there is none.
func (j *job) parse(body []byte, n int) error {
	v := j.call.Served
	if n == 0 {
		if len(v.Inputs) != 1 || v.Inputs[0].Hidden {
			return api.Errorf(api.CodeInputMissing, "Raw request must only have 1 input (found %d) to be deduced but got %d inputs in '%s' model configuration",
				1, len(v.Inputs), v.Model)
		}
		p := &v.Inputs[0]
		shape := make([]int, len(p.Shape))
		for i, d := range p.Shape {
			shape[i] = int(d)
		}
		if v.MaxBatch > 0 {
			shape[0] = 1
		}
		return j.request.ParseRaw(body, []byte(p.Name), p.DType, shape, j)
	}
	err := j.request.Parse(body, n, j)
	if len(j.request.ID) > 0 {
		j.takeID(j.request.ID)
	}
	return err
}

// takeID makes the body's id the one to echo.
func (j *job) takeID(id []byte) {
	j.givenID = append(j.givenID[:0], id...)
	if usableID(id) {
		j.id = append(j.id[:0], id...)
	}
}

// anything is a Sink for reading a request whose model is not there, for its id.
type anything struct{}

func (anything) Model() string                      { return "" }
func (anything) Check(*wire.Input) error            { return errNoModel }
func (anything) Buffer(_ *wire.Input, _ int) []byte { return nil }

var errNoModel = api.Errorf(api.CodeModelNotFound, "")

// findID looks for the id in the body of a request that can't be served; it is there if it comes before the inputs, as
// clients send it.
func (j *job) findID(body []byte, ctx *fasthttp.RequestCtx) {
	n, err := jsonLength(ctx)
	if err != nil || n == 0 {
		return
	}
	_ = j.request.Parse(body, n, anything{})
	if len(j.request.ID) > 0 {
		j.takeID(j.request.ID)
	}
}

// prepare hands the parsed request to the call. timeout is the header's, 0 for none.
func (j *job) prepare(timeout time.Duration) error {
	r, c := &j.request, &j.call
	for k := range r.Inputs {
		in := &r.Inputs[k]
		i, err := c.Find(in.Name)
		if err != nil {
			return err
		}
		if len(in.Shared.Region) > 0 {
			j.usesKey = false // the body doesn't tell what lies in shared memory
			err = c.BindShared(i, in.DType, in.Shape, &in.Shared)
		} else {
			err = c.Bind(i, in.DType, in.Shape, in.Data, in.Strings)
		}
		if err != nil {
			return err
		}
	}
	if err := c.Params(r.Params); err != nil {
		return err
	}
	if timeout > 0 {
		c.Timeout(timeout)
	}
	for k := range r.Outputs {
		out := &r.Outputs[k]
		if err := c.Want(out.Name, out.Classification, out.Binary); err != nil {
			return err
		}
		if len(out.Shared.Region) > 0 {
			j.usesKey = false
			if err := c.Share(&out.Shared); err != nil {
				return err
			}
		}
	}
	c.WantAll(r.BinaryOutput)
	return nil
}

var contentBinary = []byte("application/octet-stream")

// respond writes the outputs into the response's own buffer.
func (j *job) respond(ctx *fasthttp.RequestCtx) error {
	body, jsonLen, err := j.appendOutputs(ctx.Response.SwapBody(nil)[:0])
	if err != nil {
		return err
	}
	content := contentJSON
	if jsonLen >= 0 {
		content = contentBinary
		var text [20]byte
		ctx.Response.Header.SetBytesKV(headerLength, strconv.AppendInt(text[:0], int64(jsonLen), 10))
	}
	j.h.send(ctx, content, body)
	return nil
}

// appendOutputs appends the body of the answer; jsonLen is as of wire.AppendResponse.
func (j *job) appendOutputs(dst []byte) (body []byte, jsonLen int, err error) {
	c, resp := &j.call, &j.response
	resp.Model, resp.Version, resp.ID = c.Served.Model, c.Served.VersionText, j.givenID
	resp.Outputs = resp.Outputs[:0]
	for k := range c.Outputs {
		r, err := c.Result(k)
		if err != nil {
			return dst, -1, err
		}
		resp.Outputs = append(resp.Outputs, r)
	}
	body, jsonLen, err = wire.AppendResponse(dst, resp)
	return body, jsonLen, c.Unsent(err)
}
