package rest

import (
	"bytes"

	"github.com/valyala/fasthttp"
	"google.golang.org/protobuf/proto"

	"github.com/aimass/aimass/api"
)

var (
	pathModels     = []byte("/v2/models/")
	pathRepository = []byte("/v2/repository/models/")
	pathShared     = []byte("/v2/systemsharedmemory/")
)

// route finds the endpoint of a request and answers it, or says what is wrong.
func (h *Handler) route(ctx *fasthttp.RequestCtx, j *job) error {
	path := ctx.Path()
	if rest, ok := bytes.CutPrefix(path, pathModels); ok {
		return h.model(ctx, j, rest)
	}
	switch string(path) {
	case "/v2", "/v2/":
		return h.get(ctx, func() (proto.Message, error) { return h.service.Metadata(), nil })
	case "/v2/health/live":
		return h.health(ctx, "live", true)
	case "/v2/health/ready":
		return h.health(ctx, "ready", h.service.Ready())
	case "/v2/repository/index":
		return h.repositoryIndex(ctx, j)
	case "/v2/trace/setting":
		return h.traceSetting(ctx, j, nil)
	case "/v2/logging":
		return h.logging(ctx, j)
	case "/v2/logs":
		return h.logs(ctx, j)
	case "/v2/errors":
		return h.fixed(ctx, contentJSON, api.AppendTable(nil))
	case "/v2/openapi.yaml":
		return h.fixed(ctx, []byte("application/yaml"), []byte(api.OpenAPI()))
	case "/v1/embeddings":
		return h.embeddings(ctx, j)
	case "/v2/dashboard":
		return h.dashboardData(ctx, j)
	case "/v2/cache/purge":
		return h.purge(ctx)
	}
	if rest, ok := bytes.CutPrefix(path, pathDashboard); ok {
		return h.dashboard(ctx, string(rest))
	}
	if rest, ok := bytes.CutPrefix(path, pathTrain); ok && (len(rest) == 0 || rest[0] == '/') {
		return h.training(ctx, j, string(rest))
	}
	if rest, ok := bytes.CutPrefix(path, pathRepository); ok {
		return h.repositoryModel(ctx, j, rest)
	}
	if rest, ok := bytes.CutPrefix(path, pathShared); ok {
		return h.sharedMemory(ctx, j, string(rest))
	}
	if bytes.HasPrefix(path, []byte("/v2/cudasharedmemory/")) {
		return api.Errorf(api.CodeUnsupported, "CUDA shared memory is not supported by this server")
	}
	return notFound()
}

func notFound() error {
	return api.Errorf(api.CodePathNotFound, "Not Found: /v2/openapi.yaml lists the paths, /dashboard shows the server")
}

// model answers what lies below /v2/models/; rest is M, M/what, M/versions/V or M/versions/V/what.
func (h *Handler) model(ctx *fasthttp.RequestCtx, j *job, rest []byte) error {
	name, what, _ := bytes.Cut(rest, []byte{'/'})
	var version []byte
	if after, ok := bytes.CutPrefix(what, []byte("versions/")); ok {
		version, what, _ = bytes.Cut(after, []byte{'/'})
		if len(version) == 0 {
			return notFound()
		}
	}
	if len(name) == 0 {
		return notFound()
	}
	switch string(what) {
	case "infer":
		if err := method(ctx, fasthttp.MethodPost); err != nil {
			return err
		}
		return h.infer(ctx, j, name, version)
	case "":
		if string(rest) == "stats" {
			return h.get(ctx, func() (proto.Message, error) { return h.service.ModelStatistics(nil, nil) })
		}
		return h.get(ctx, func() (proto.Message, error) { return h.service.ModelMetadata(name, version) })
	case "ready":
		if err := method(ctx, fasthttp.MethodGet); err != nil {
			return err
		}
		ready, err := h.service.ModelReady(name, version)
		if err != nil {
			return err
		}
		return h.health(ctx, "ready", ready)
	case "config":
		return h.get(ctx, func() (proto.Message, error) { return h.service.ModelConfig(name, version) })
	case "stats":
		return h.get(ctx, func() (proto.Message, error) { return h.service.ModelStatistics(name, version) })
	case "drift":
		return h.drift(ctx, name, version)
	case "trace/setting":
		if version == nil {
			return h.traceSetting(ctx, j, name)
		}
	case "generate", "generate_stream":
		return api.Errorf(api.CodeUnsupported, "the generate extension is not supported by this server")
	}
	return notFound()
}

// get answers a GET with a message.
func (h *Handler) get(ctx *fasthttp.RequestCtx, call func() (proto.Message, error)) error {
	if err := method(ctx, fasthttp.MethodGet); err != nil {
		return err
	}
	m, err := call()
	if err != nil {
		return err
	}
	h.send(ctx, contentJSON, appendMessage(nil, m))
	return nil
}

func (h *Handler) fixed(ctx *fasthttp.RequestCtx, contentType, body []byte) error {
	if err := method(ctx, fasthttp.MethodGet); err != nil {
		return err
	}
	h.send(ctx, contentType, body)
	return nil
}

// health answers with 200 or 400, as Triton's clients expect, and a body, as KServe's do.
func (h *Handler) health(ctx *fasthttp.RequestCtx, what string, ok bool) error {
	if err := method(ctx, fasthttp.MethodGet); err != nil {
		return err
	}
	body := `{"` + what + `":true}`
	if !ok {
		ctx.SetStatusCode(fasthttp.StatusBadRequest)
		body = `{"` + what + `":false}`
	}
	h.send(ctx, contentJSON, []byte(body))
	return nil
}

// purge empties the prediction cache.
func (h *Handler) purge(ctx *fasthttp.RequestCtx) error {
	if err := method(ctx, fasthttp.MethodPost); err != nil {
		return err
	}
	if err := h.service.Authorize(caller(ctx)); err != nil {
		return err
	}
	h.service.Pipeline().Cache().Purge()
	h.send(ctx, contentJSON, []byte(`{}`))
	return nil
}
