package pipeline

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime/tensor"
)

// remotes keeps one connection to each other server that ensembles use.
type remotes struct {
	mu    sync.Mutex
	conns map[string]*remote
}

// remote is a connection to a v2 gRPC server.
type remote struct {
	all    *remotes
	addr   string
	users  int // under remotes.mu
	conn   *grpc.ClientConn
	client inferencepb.GRPCInferenceServiceClient
}

// dial gives the connection to an address, which is made when it is first used and again
// when it has broken. drop must be called for each dial.
func (m *remotes) dial(addr string) (*remote, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.conns[addr]; r != nil {
		r.users++
		return r, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(1<<20),
		// gRPC's own bound on the wait between two attempts, two minutes, is how long requests would go on failing after the server is back.
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 5 * time.Second,
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}))
	if err != nil {
		return nil, api.Wrap(api.CodeStepUnavailable, err, "the address of the step's server can't be used")
	}
	r := &remote{all: m, addr: addr, users: 1, conn: conn, client: inferencepb.NewGRPCInferenceServiceClient(conn)}
	if m.conns == nil {
		m.conns = map[string]*remote{}
	}
	m.conns[addr] = r
	return r, nil
}

// drop gives a use of the connection back; the last closes it.
func (r *remote) drop() {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	if r.users--; r.users == 0 {
		delete(r.all.conns, r.addr)
		_ = r.conn.Close()
	}
}

// ports asks the server for its model's ports.
func (r *remote) ports(ctx context.Context, model, version string) (in, out []Port, err error) {
	var trailer metadata.MD
	m, err := r.client.ModelMetadata(ctx, &inferencepb.ModelMetadataRequest{Name: model, Version: version}, grpc.Trailer(&trailer))
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, api.Wrap(api.CodeStepUnavailable, err, "its server does not answer")
		}
		return nil, nil, remoteError(err, trailer)
	}
	read := func(list []*inferencepb.ModelMetadataResponse_TensorMetadata) []Port {
		ports := make([]Port, len(list))
		for i, t := range list {
			d, _ := tensor.ParseV2(t.Datatype)
			ports[i] = Port{Name: t.Name, DType: d, Shape: t.Shape}
		}
		return ports
	}
	return read(m.Inputs), read(m.Outputs), nil
}

// tenantKey is the metadata that carries the tenant.
const tenantKey = "x-aimass-tenant"

// infer runs a step on the other server: within the request's deadline, and no longer than
// its caller waits, of which ctx tells.
func (r *remote) infer(ctx context.Context, f *flow, s *step) error {
	req := &inferencepb.ModelInferRequest{ModelName: s.model, ModelVersion: s.version}
	for _, b := range s.in {
		t := &f.vals[b.tensor]
		shape := make([]int64, len(t.Shape))
		for i, d := range t.Shape {
			shape[i] = int64(d)
		}
		req.Inputs = append(req.Inputs, &inferencepb.ModelInferRequest_InferInputTensor{Name: b.port, Datatype: t.DType.V2(), Shape: shape})
		raw := t.Bytes()
		if t.DType == tensor.String {
			raw = packStrings(t.Strings())
		}
		req.RawInputContents = append(req.RawInputContents, raw)
	}
	for _, b := range s.out {
		req.Outputs = append(req.Outputs, &inferencepb.ModelInferRequest_InferRequestedOutputTensor{Name: b.port})
	}
	if !f.r.Deadline.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, f.r.Deadline)
		defer stop()
	}
	if f.r.Tenant != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, tenantKey, f.r.Tenant)
	}
	if f.r.Priority > 0 {
		req.Parameters = map[string]*inferencepb.InferParameter{"priority": {ParameterChoice: &inferencepb.InferParameter_Int64Param{Int64Param: int64(f.r.Priority)}}}
	}
	var trailer metadata.MD
	resp, err := r.client.ModelInfer(ctx, req, grpc.Trailer(&trailer))
	if err != nil {
		return remoteError(err, trailer)
	}
	return readOutputs(resp, f, s)
}

// remoteError turns a call's error into one of ours: with the code that a server of our
// kind gives, else by the status.
func remoteError(err error, trailer metadata.MD) error {
	if v := trailer.Get("aimass-code"); len(v) > 0 {
		if code := api.Code(v[0]); code.Known() {
			return api.Wrap(code, err, "%s", status.Convert(err).Message())
		}
	}
	st := status.Convert(err)
	code := api.CodeExecutionFailed
	switch st.Code() {
	case codes.Unavailable:
		return api.Wrap(api.CodeStepUnavailable, err, "its server can't be reached")
	case codes.DeadlineExceeded:
		return api.Wrap(api.CodeRequestTimeout, err, "Request timeout expired")
	case codes.Canceled:
		return api.Wrap(api.CodeCancelled, err, "the caller cancelled the request")
	case codes.NotFound:
		code = api.CodeModelNotFound
	case codes.InvalidArgument:
		code = api.CodeValueInvalid
	case codes.Unimplemented:
		code = api.CodeUnsupported
	}
	return api.Wrap(code, err, "%s", st.Message())
}

// readOutputs puts a response's tensors in their places. They lie in the message, which is
// ours.
func readOutputs(resp *inferencepb.ModelInferResponse, f *flow, s *step) error {
	garbled := func(name string) error {
		return api.Errorf(api.CodeStepUnavailable, "its server's answer has no usable output '%s'", name)
	}
	if len(resp.RawOutputContents) != len(resp.Outputs) {
		return garbled(s.out[0].port)
	}
	for _, b := range s.out {
		found := false
		for k, o := range resp.Outputs {
			if o.Name != b.port {
				continue
			}
			d, ok := tensor.ParseV2(o.Datatype)
			shape, err := tensor.ShapeOf(o.Shape)
			if !ok || err != nil {
				return garbled(b.port)
			}
			raw := resp.RawOutputContents[k]
			if d == tensor.String {
				strs, ok := unpackStrings(raw, shape.Elements())
				if !ok {
					return garbled(b.port)
				}
				f.vals[b.tensor].ViewStrings(shape, strs)
			} else if len(raw) != d.Bytes(shape.Elements()) {
				return garbled(b.port)
			} else {
				f.vals[b.tensor].View(d, shape, raw)
			}
			found = true
		}
		if !found {
			return garbled(b.port)
		}
	}
	return nil
}

// packStrings spells strings as the protocol does: each with its length in four bytes.
func packStrings(list []string) []byte {
	n := 0
	for _, s := range list {
		n += 4 + len(s)
	}
	b := make([]byte, 0, n)
	for _, s := range list {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}

// unpackStrings reads want strings that take all of b.
func unpackStrings(b []byte, want int) ([]string, bool) {
	if want > len(b)/4 {
		return nil, false
	}
	out := make([]string, 0, want)
	for len(b) >= 4 && len(out) < want {
		n := uint64(binary.LittleEndian.Uint32(b))
		if b = b[4:]; n > uint64(len(b)) {
			return nil, false
		}
		out, b = append(out, string(b[:n])), b[n:]
	}
	return out, len(out) == want && len(b) == 0
}
