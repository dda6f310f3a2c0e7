package rpc

import (
	"context"
	"errors"
	"math"
	"net/netip"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // registers the compressor
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/server/logs"
	"github.com/aimass/aimass/server/service"
	"github.com/aimass/aimass/server/tracing"
)

// Config of the gRPC side.
type Config struct {
	// MaxMessage bounds a request in bytes. Default 2 GiB - 1, the most that clients send.
	MaxMessage int
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	if c.MaxMessage == 0 {
		c.MaxMessage = math.MaxInt32
	}
	return c
}

// Validate checks a configuration whose defaults are filled.
func (c Config) Validate() error {
	if c.MaxMessage < 1024 || c.MaxMessage > math.MaxInt32 {
		return errors.New("rpc: MaxMessage must be between 1024 bytes and 2 GiB - 1")
	}
	return nil
}

// codeTrailer carries the stable code of an error.
const codeTrailer = "aimass-code"

// Names of metadata.
const (
	metaRequestID = "x-request-id"
	metaTenant    = "x-aimass-tenant"
	metaRoute     = "x-route-key"
)

// Server answers gRPC calls.
type Server struct {
	*grpc.Server
	// Health is the standard health service; what it says is set with SetReady.
	health *health.Server
	api    *handler
}

// handler implements the protocol's service.
type handler struct {
	inferencepb.UnimplementedGRPCInferenceServiceServer
	service *service.Service
	log     *logs.Logs
	calls   sync.Pool
	// stopping is done once streams are to end.
	stopping context.Context
	stop     context.CancelFunc
}

// New makes a server. cfg has its defaults filled.
func New(cfg Config, s *service.Service) *Server {
	h := &handler{service: s, log: s.Log()}
	h.calls.New = func() any { return new(call) }
	h.stopping, h.stop = context.WithCancel(context.Background())
	g := grpc.NewServer(
		grpc.MaxRecvMsgSize(cfg.MaxMessage),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.InitialWindowSize(1<<20),
		grpc.InitialConnWindowSize(1<<20),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.NumStreamWorkers(uint32(4*goruntime.GOMAXPROCS(0))),
		grpc.UnaryInterceptor(h.unary),
		grpc.StreamInterceptor(h.stream),
	)
	out := &Server{Server: g, health: health.NewServer(), api: h}
	g.RegisterService(serviceDesc(), h)
	grpc_health_v1.RegisterHealthServer(g, out.health)
	return out
}

// serviceDesc is the generated description, with a handler of our own for ModelInfer.
func serviceDesc() *grpc.ServiceDesc {
	d := inferencepb.GRPCInferenceService_ServiceDesc
	d.Methods = slices.Clone(d.Methods)
	for i := range d.Methods {
		if d.Methods[i].MethodName == "ModelInfer" {
			d.Methods[i].Handler = unaryInfer
		}
	}
	return &d
}

// SetReady sets what the standard health service says.
func (s *Server) SetReady(ready bool) {
	state := grpc_health_v1.HealthCheckResponse_NOT_SERVING
	if ready {
		state = grpc_health_v1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", state)
	s.health.SetServingStatus(inferencepb.GRPCInferenceService_ServiceDesc.ServiceName, state)
}

// changes are the calls that change the server where they carry settings or always.
func changes(req any) bool {
	switch r := req.(type) {
	case *inferencepb.RepositoryModelLoadRequest, *inferencepb.RepositoryModelUnloadRequest,
		*inferencepb.SystemSharedMemoryRegisterRequest, *inferencepb.SystemSharedMemoryUnregisterRequest:
		return true
	case *inferencepb.TraceSettingRequest:
		return len(r.Settings) > 0
	case *inferencepb.LogSettingsRequest:
		return len(r.Settings) > 0
	}
	return false
}

// unary checks who calls, counts, logs and turns errors into statuses.
func (h *handler) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if !strings.HasPrefix(info.FullMethod, "/inference.") {
		return next(ctx, req)
	}
	began := time.Now()
	var resp any
	var err error
	if changes(req) {
		err = h.service.Authorize(caller(ctx))
	}
	if err == nil {
		resp, err = next(ctx, req)
	}
	if err = h.end(ctx, info.FullMethod, req, err, began); err != nil {
		return nil, err
	}
	return resp, nil
}

// end counts and logs a call, and turns its error into a status.
func (h *handler) end(ctx context.Context, method string, req any, err error, began time.Time) error {
	h.service.Counts.GRPC(err)
	if err != nil || h.log.WantsAccess() {
		h.done(ctx, method, req, err, time.Since(began))
	}
	if err == nil {
		return nil
	}
	_ = grpc.SetTrailer(ctx, metadata.Pairs(codeTrailer, string(api.CodeOf(err))))
	prefix := ""
	if r, ok := req.(*inferencepb.ModelInferRequest); ok {
		prefix = api.RequestPrefix(requestID(ctx, r))
	}
	return status.Error(api.CodeOf(err).GRPCStatus(), prefix+api.Message(err))
}

// GracefulStop takes no new calls and waits for those in flight. Streams, which clients leave open, end once what was read
// of them has been answered.
func (s *Server) GracefulStop() {
	s.api.stop()
	s.Server.GracefulStop()
}

// ending is a stream that has no end of its own, such as the health service's Watch: its context is done when the server
// stops.
type ending struct {
	grpc.ServerStream
	ctx context.Context
}

func (e ending) Context() context.Context { return e.ctx }

// stream has streams end with the server, and turns their errors into statuses.
func (h *handler) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if !strings.HasPrefix(info.FullMethod, "/inference.") {
		ctx, cancel := context.WithCancel(ss.Context())
		defer cancel()
		defer context.AfterFunc(h.stopping, cancel)()
		err := next(srv, ending{ss, ctx})
		if h.stopping.Err() != nil {
			return status.Error(codes.Unavailable, "the server is stopping")
		}
		return err
	}
	err := next(srv, ss)
	if err != nil && status.Code(err) == codes.Unknown {
		err = status.Error(api.CodeOf(err).GRPCStatus(), api.Message(err))
	}
	return err
}

func (h *handler) done(ctx context.Context, method string, req any, err error, took time.Duration) {
	r := logs.Request{Protocol: "grpc", Call: method[strings.LastIndexByte(method, '/')+1:], Took: took, Err: err,
		Status: int(api.CodeOf(err).GRPCStatus()), ID: meta(ctx, metaRequestID), TraceID: tracing.From(ctx).TraceID(), Tenant: meta(ctx, metaTenant)}
	if err == nil {
		r.Status = int(codes.OK)
	}
	if p, ok := peer.FromContext(ctx); ok {
		r.Client = p.Addr.String()
	}
	if in, ok := req.(*inferencepb.ModelInferRequest); ok {
		r.ID, r.Model, r.Version = requestID(ctx, in), in.ModelName, in.ModelVersion
	}
	h.log.Done(&r)
}

// requestID is the request's id, or what the metadata give.
func requestID(ctx context.Context, r *inferencepb.ModelInferRequest) string {
	if r.Id != "" {
		return r.Id
	}
	return meta(ctx, metaRequestID)
}

func meta(ctx context.Context, key string) string {
	if v := metadata.ValueFromIncomingContext(ctx, key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// span begins the span of an inference, in the caller's trace if it names one.
func (h *handler) span(ctx context.Context, call string) *tracing.Span {
	t := h.service.Tracer()
	if t == nil {
		return nil
	}
	return t.Start(inferencepb.GRPCInferenceService_ServiceDesc.ServiceName+"/"+call, meta(ctx, "traceparent"), meta(ctx, "tracestate"))
}

func caller(ctx context.Context) *service.Caller {
	c := &service.Caller{Authorization: meta(ctx, "authorization")}
	if p, ok := peer.FromContext(ctx); ok {
		if ap, err := netip.ParseAddrPort(p.Addr.String()); err == nil {
			c.Addr = ap.Addr()
		}
	}
	return c
}
