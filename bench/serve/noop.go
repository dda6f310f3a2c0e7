package main

import (
	"context"
	"encoding/json"
	"net"
	"os"

	"github.com/valyala/fasthttp"
	"google.golang.org/grpc"
)

// replay is what a no-op server answers, recorded from the server that it is compared with.
type replay struct {
	Metadata     string // of GET /v2/models/M
	Infer        []byte // body of an answer
	ContentType  string
	HeaderLength string
	GRPCMetadata []byte // message
	GRPCInfer    []byte // message
}

func readReplay(file string) (*replay, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &replay{}
	return r, json.Unmarshal(b, r)
}

// noopHTTP answers every inference with the same bytes: it reads the body and nothing else.
func noopHTTP(addr, file string) error {
	r, err := readReplay(file)
	if err != nil {
		return err
	}
	s := &fasthttp.Server{NoDefaultServerHeader: true, MaxRequestBodySize: 64 << 20, Handler: func(ctx *fasthttp.RequestCtx) {
		if ctx.IsGet() {
			ctx.SetContentType("application/json")
			ctx.SetBodyString(r.Metadata)
			return
		}
		_ = ctx.PostBody()
		ctx.SetContentType(r.ContentType)
		if r.HeaderLength != "" {
			ctx.Response.Header.Set("Inference-Header-Content-Length", r.HeaderLength)
		}
		ctx.SetBody(r.Infer)
	}}
	return s.ListenAndServe(addr)
}

// bytesCodec leaves messages as they are.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), b...)
	return nil
}
func (bytesCodec) Name() string { return "proto" }

// noopGRPC answers every call that a load makes with a recorded message.
func noopGRPC(addr, file string) error {
	r, err := readReplay(file)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.ForceServerCodec(bytesCodec{}))
	method := func(name string, out []byte) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in []byte
			return &out, decode(&in)
		}}
	}
	s.RegisterService(&grpc.ServiceDesc{ServiceName: "inference.GRPCInferenceService", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{
		method("ModelMetadata", r.GRPCMetadata), method("ModelInfer", r.GRPCInfer), method("ModelStatistics", nil),
	}}, struct{}{})
	return s.Serve(l)
}
