package load

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime/feed"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/wire"
)

// input is what the server's metadata says of a model's input.
type input struct {
	Name     string
	Datatype string
	Shape    []int64
}

// value is an input with data.
type value struct {
	input
	t *tensor.Tensor
}

// values makes one request's inputs; open extents are 1, but for the first, which is batch, and those
// that shapes gives.
func values(rng *rand.Rand, inputs []input, shapes map[string]tensor.Shape, batch int) ([]value, error) {
	known := 0
	var out []value
	for _, in := range inputs {
		d, ok := tensor.ParseV2(in.Datatype)
		if !ok {
			return nil, fmt.Errorf("input %q has the unknown datatype %q", in.Name, in.Datatype)
		}
		s, given := shapes[in.Name]
		if given {
			known++
		} else {
			s = tensor.Shape{}
			for i, n := range in.Shape {
				switch {
				case n >= 0:
				case i == 0:
					n = int64(batch)
				default:
					return nil, fmt.Errorf("input %q has shape %v: give --shape '%s=…'", in.Name, in.Shape, in.Name)
				}
				s = append(s, int(n))
			}
		}
		if err := s.Check(); err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		t, err := feed.Values(rng, in.Name, d, s)
		if err != nil {
			return nil, err
		}
		out = append(out, value{in, t})
	}
	if known < len(shapes) {
		return nil, fmt.Errorf("--shape names an input that the model does not have")
	}
	return out, nil
}

// encode makes a request as it goes over the wire: for HTTP with its head, for gRPC the message.
func (p *Plan) encode(g *target, in []value) ([]byte, error) {
	if p.o.Protocol == "grpc" {
		return p.encodeGRPC(g, in)
	}
	binary := p.o.Protocol == "http-bin"
	body, jsonLen, err := p.encodeBody(in, binary)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "POST /v2/models/%s/infer HTTP/1.1\r\nHost: %s\r\n", url.PathEscape(g.Model), p.host)
	if binary {
		fmt.Fprintf(&b, "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: %d\r\n", jsonLen)
	} else {
		b.WriteString("Content-Type: application/json\r\n")
	}
	if g.Tenant != "" {
		if strings.ContainsAny(g.Tenant, "\r\n") {
			return nil, fmt.Errorf("tenant %q has a line break", g.Tenant)
		}
		fmt.Fprintf(&b, "X-Aimass-Tenant: %s\r\n", g.Tenant)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	return append([]byte(b.String()), body...), nil
}

func (p *Plan) encodeBody(in []value, binary bool) (body []byte, jsonLen int, err error) {
	deadline := p.o.Deadline
	b := []byte("{")
	if deadline > 0 {
		b = append(b, `"parameters":{"timeout":`...)
		b = strconv.AppendInt(b, max(deadline.Microseconds(), 1), 10)
		if binary {
			b = append(b, `,"binary_data_output":true`...)
		}
		b = append(b, `},`...)
	} else if binary {
		b = append(b, `"parameters":{"binary_data_output":true},`...)
	}
	b = append(b, `"inputs":[`...)
	var tail []byte
	for i, v := range in {
		if i > 0 {
			b = append(b, ',')
		}
		head, err := json.Marshal(struct {
			Name     string       `json:"name"`
			Shape    tensor.Shape `json:"shape"`
			Datatype string       `json:"datatype"`
		}{v.Name, v.t.Shape, v.Datatype})
		if err != nil {
			return nil, 0, err
		}
		b = append(b, head[:len(head)-1]...)
		if !binary {
			b = append(b, `,"data":[`...)
			b = wire.AppendData(b, v.t.DType, v.t.Bytes(), v.t.Strings())
			b = append(b, `]}`...)
			continue
		}
		from := len(tail)
		if tail, err = appendRaw(tail, v.t); err != nil {
			return nil, 0, err
		}
		b = append(b, `,"parameters":{"binary_data_size":`...)
		b = strconv.AppendInt(b, int64(len(tail)-from), 10)
		b = append(b, `}}`...)
	}
	b = append(b, ']')
	for i, name := range p.o.Outputs {
		b = append(b, [...]string{`,"outputs":[`, `,`}[min(i, 1)]...)
		b = append(b, `{"name":`...)
		b = append(b, strconv.Quote(name)...)
		if binary {
			b = append(b, `,"parameters":{"binary_data":true}`...)
		}
		b = append(b, '}')
	}
	if len(p.o.Outputs) > 0 {
		b = append(b, ']')
	}
	b = append(b, '}')
	return append(b, tail...), len(b), nil
}

func appendRaw(dst []byte, t *tensor.Tensor) ([]byte, error) {
	if t.DType == tensor.String {
		return wire.AppendBytes(dst, t.Strings())
	}
	return append(dst, t.Bytes()...), nil
}

func (p *Plan) encodeGRPC(g *target, in []value) ([]byte, error) {
	r := &inferencepb.ModelInferRequest{ModelName: g.Model}
	for _, v := range in {
		it := &inferencepb.ModelInferRequest_InferInputTensor{Name: v.Name, Datatype: v.Datatype}
		for _, n := range v.t.Shape {
			it.Shape = append(it.Shape, int64(n))
		}
		raw, err := appendRaw(nil, v.t)
		if err != nil {
			return nil, err
		}
		r.Inputs = append(r.Inputs, it)
		r.RawInputContents = append(r.RawInputContents, raw)
	}
	for _, name := range p.o.Outputs {
		r.Outputs = append(r.Outputs, &inferencepb.ModelInferRequest_InferRequestedOutputTensor{Name: name})
	}
	if p.o.Deadline > 0 {
		r.Parameters = map[string]*inferencepb.InferParameter{"timeout": {
			ParameterChoice: &inferencepb.InferParameter_Int64Param{Int64Param: max(p.o.Deadline.Microseconds(), 1)}}}
	}
	return proto.Marshal(r)
}
