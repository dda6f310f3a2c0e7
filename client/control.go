package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/aimass/aimass/api/inferencepb"
)

// ServerMetadata says what a server is.
type ServerMetadata struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// Port describes an input or output of a model.
type Port struct {
	Name  string `json:"name"`
	DType DType  `json:"datatype"`
	// Shape has −1 for what a request decides.
	Shape []int64 `json:"shape"`
}

// ModelMetadata says what a model takes and gives.
type ModelMetadata struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
	Platform string   `json:"platform"`
	Inputs   []Port   `json:"inputs"`
	Outputs  []Port   `json:"outputs"`
}

// ModelState is one entry of a repository's index.
type ModelState struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// State is READY, UNAVAILABLE, LOADING or UNLOADING.
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// ErrorInfo is one row of the server's table of error codes.
type ErrorInfo struct {
	Code      string `json:"code"`
	HTTP      int    `json:"http"`
	GRPC      string `json:"grpc"`
	Retryable bool   `json:"retryable"`
	Meaning   string `json:"meaning"`
	Action    string `json:"action"`
}

// Duration counts what took how long.
type Duration struct {
	Count uint64 `json:"count"`
	NS    uint64 `json:"ns"`
}

// InferStatistics splits the time of requests by what it was spent on.
type InferStatistics struct {
	Success       Duration `json:"success"`
	Fail          Duration `json:"fail"`
	Queue         Duration `json:"queue"`
	ComputeInput  Duration `json:"compute_input"`
	ComputeInfer  Duration `json:"compute_infer"`
	ComputeOutput Duration `json:"compute_output"`
	CacheHit      Duration `json:"cache_hit"`
	CacheMiss     Duration `json:"cache_miss"`
}

// BatchStatistics is about the batches of one size.
type BatchStatistics struct {
	BatchSize     uint64   `json:"batch_size"`
	ComputeInput  Duration `json:"compute_input"`
	ComputeInfer  Duration `json:"compute_infer"`
	ComputeOutput Duration `json:"compute_output"`
}

// Memory is what a model takes of one kind of memory.
type Memory struct {
	Type     string `json:"type"`
	ID       int64  `json:"id"`
	ByteSize uint64 `json:"byte_size"`
}

// ModelStatistics counts what one version of a model has done.
type ModelStatistics struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// LastInference is in milliseconds since 1970.
	LastInference uint64 `json:"last_inference"`
	// InferenceCount counts rows, without those that the cache answered; ExecutionCount batches.
	InferenceCount uint64            `json:"inference_count"`
	ExecutionCount uint64            `json:"execution_count"`
	InferenceStats InferStatistics   `json:"inference_stats"`
	BatchStats     []BatchStatistics `json:"batch_stats"`
	MemoryUsage    []Memory          `json:"memory_usage"`
}

// Live reports whether the server runs.
func (c *Client) Live(ctx context.Context) (bool, error) { return c.health(ctx, "/v2/health/live") }

// Ready reports whether the server takes requests.
func (c *Client) Ready(ctx context.Context) (bool, error) { return c.health(ctx, "/v2/health/ready") }

// ModelReady reports whether a model takes requests; version may be empty. An unknown model is an error.
func (c *Client) ModelReady(ctx context.Context, model, version string) (bool, error) {
	path, err := modelPath(model, version)
	if err != nil {
		return false, err
	}
	return c.health(ctx, path+"/ready")
}

// health reads an answer that says no by its status: 400 without an error, or 503.
func (c *Client) health(ctx context.Context, path string) (bool, error) {
	a, err := c.send(ctx, &call{method: http.MethodGet, path: path, any: true})
	if err != nil || a.status == http.StatusOK {
		return err == nil, err
	}
	if e := answerError(a); a.status != http.StatusServiceUnavailable && (a.status != http.StatusBadRequest || errorBody(a.body)) {
		e.Attempts = 1
		return false, e
	}
	return false, nil
}

func errorBody(b []byte) bool {
	var m struct {
		Error string `json:"error"`
	}
	return json.Unmarshal(b, &m) == nil && m.Error != ""
}

// ServerMetadata asks what the server is and which extensions of the protocol it has.
func (c *Client) ServerMetadata(ctx context.Context) (*ServerMetadata, error) {
	return get[ServerMetadata](ctx, c, "/v2")
}

// ModelMetadata describes a model; version may be empty.
func (c *Client) ModelMetadata(ctx context.Context, model, version string) (*ModelMetadata, error) {
	path, err := modelPath(model, version)
	if err != nil {
		return nil, err
	}
	return get[ModelMetadata](ctx, c, path)
}

// ModelConfig returns the configuration in force of a model; version may be empty.
func (c *Client) ModelConfig(ctx context.Context, model, version string) (*inferencepb.ModelConfig, error) {
	path, err := modelPath(model, version)
	if err != nil {
		return nil, err
	}
	a, err := c.send(ctx, &call{method: http.MethodGet, path: path + "/config"})
	if err != nil {
		return nil, err
	}
	m := &inferencepb.ModelConfig{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(a.body, m); err != nil {
		return nil, fmt.Errorf("client: the configuration of model %q: %w", model, err)
	}
	return m, nil
}

// Statistics counts what a version of a model has done, or all of its versions, or with an empty name all models.
func (c *Client) Statistics(ctx context.Context, model, version string) ([]ModelStatistics, error) {
	path := "/v2/models"
	if model != "" {
		var err error
		if path, err = modelPath(model, version); err != nil {
			return nil, err
		}
	}
	m, err := get[struct {
		Stats []ModelStatistics `json:"model_stats"`
	}](ctx, c, path+"/stats")
	if err != nil {
		return nil, err
	}
	return m.Stats, nil
}

// Errors returns the server's table of error codes. Servers of other makes have none.
func (c *Client) Errors(ctx context.Context) ([]ErrorInfo, error) {
	m, err := get[struct {
		Errors []ErrorInfo `json:"errors"`
	}](ctx, c, "/v2/errors")
	if err != nil {
		return nil, err
	}
	return m.Errors, nil
}

// Index lists the models of the server's repository, or those alone that are ready.
func (c *Client) Index(ctx context.Context, readyOnly bool) ([]ModelState, error) {
	body := []byte("{}")
	if readyOnly {
		body = []byte(`{"ready":true}`)
	}
	a, err := c.post(ctx, "/v2/repository/index", body)
	if err != nil {
		return nil, err
	}
	var list []ModelState
	return list, decodeJSON(a, "/v2/repository/index", &list)
}

// LoadOptions replace what lies in the repository.
type LoadOptions struct {
	// Config is a configuration in JSON.
	Config string
	// Files are the model's files by path in its folder, as 1/model.onnx. They need Config.
	Files map[string][]byte
}

// Load loads a model, or loads it anew; the old version serves until the new one is ready. o may be nil.
func (c *Client) Load(ctx context.Context, model string, o *LoadOptions) error {
	params := map[string]any{}
	if o != nil {
		if o.Config != "" {
			params["config"] = o.Config
		}
		for path, b := range o.Files {
			params["file:"+path] = b
		}
	}
	return c.change(ctx, model, "load", params)
}

// Unload unloads a model, and with dependents the models that an ensemble was made of.
func (c *Client) Unload(ctx context.Context, model string, dependents bool) error {
	return c.change(ctx, model, "unload", map[string]any{"unload_dependents": dependents})
}

func (c *Client) change(ctx context.Context, model, what string, params map[string]any) error {
	if model == "" {
		return errNoModel
	}
	body, err := json.Marshal(map[string]any{"parameters": params})
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	_, err = c.post(ctx, "/v2/repository/models/"+url.PathEscape(model)+"/"+what, body)
	return err
}

// PurgeCache empties the server's cache of predictions.
func (c *Client) PurgeCache(ctx context.Context) error {
	_, err := c.post(ctx, "/v2/cache/purge", []byte("{}"))
	return err
}

func (c *Client) post(ctx context.Context, path string, body []byte) (*answer, error) {
	return c.send(ctx, &call{method: http.MethodPost, path: path, encode: func(context.Context) ([]byte, int, error) { return body, -1, nil }})
}

func get[T any](ctx context.Context, c *Client, path string) (*T, error) {
	a, err := c.send(ctx, &call{method: http.MethodGet, path: path})
	if err != nil {
		return nil, err
	}
	m := new(T)
	return m, decodeJSON(a, path, m)
}

func decodeJSON(a *answer, path string, into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("client: the answer to %s: %w", path, err)
	}
	return nil
}

func modelPath(model, version string) (string, error) {
	if model == "" {
		return "", errNoModel
	}
	p := "/v2/models/" + url.PathEscape(model)
	if version != "" {
		p += "/versions/" + url.PathEscape(version)
	}
	return p, nil
}
