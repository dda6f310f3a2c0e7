package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/aimass/aimass/api/inferencepb"
)

// control asks the server about its models.
type control interface {
	inputs(ctx context.Context, model string) ([]input, error)
	statistics(ctx context.Context, model string) ([]modelStats, error)
	close()
}

// modelStats is the v2 statistics extension, as far as it is used here.
type modelStats struct {
	Name           string `json:"name"`
	Version        string `json:"version"`
	InferenceCount uint64 `json:"inference_count"`
	ExecutionCount uint64 `json:"execution_count"`
	InferenceStats struct {
		Success, Fail, Queue duration
		ComputeInput         duration `json:"compute_input"`
		ComputeInfer         duration `json:"compute_infer"`
		ComputeOutput        duration `json:"compute_output"`
		CacheHit             duration `json:"cache_hit"`
		CacheMiss            duration `json:"cache_miss"`
	} `json:"inference_stats"`
	BatchStats []struct {
		BatchSize    uint64   `json:"batch_size"`
		ComputeInfer duration `json:"compute_infer"`
	} `json:"batch_stats"`
}

type duration struct {
	Count uint64 `json:"count"`
	NS    uint64 `json:"ns"`
}

type httpControl struct{ base string }

// askTimeout bounds a question to the server.
const askTimeout = 10 * time.Second

func (c *httpControl) close() {}

func (c *httpControl) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %.300s", path, resp.Status, b)
	}
	return json.Unmarshal(b, into)
}

func (c *httpControl) inputs(ctx context.Context, model string) ([]input, error) {
	var m struct{ Inputs []input }
	if err := c.get(ctx, "/v2/models/"+url.PathEscape(model), &m); err != nil {
		return nil, err
	}
	if len(m.Inputs) == 0 {
		return nil, errors.New("its metadata names no inputs")
	}
	return m.Inputs, nil
}

func (c *httpControl) statistics(ctx context.Context, model string) ([]modelStats, error) {
	var s struct {
		ModelStats []modelStats `json:"model_stats"`
	}
	err := c.get(ctx, "/v2/models/"+url.PathEscape(model)+"/stats", &s)
	return s.ModelStats, err
}

type grpcControl struct {
	conn   *grpc.ClientConn
	client inferencepb.GRPCInferenceServiceClient
}

func newGRPCControl(address string) (*grpcControl, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &grpcControl{conn, inferencepb.NewGRPCInferenceServiceClient(conn)}, nil
}

func (c *grpcControl) close() { c.conn.Close() }

func (c *grpcControl) inputs(ctx context.Context, model string) ([]input, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := c.client.ModelMetadata(ctx, &inferencepb.ModelMetadataRequest{Name: model})
	if err != nil {
		return nil, err
	}
	var out []input
	for _, t := range m.Inputs {
		out = append(out, input{t.Name, t.Datatype, t.Shape})
	}
	if len(out) == 0 {
		return nil, errors.New("its metadata names no inputs")
	}
	return out, nil
}

func (c *grpcControl) statistics(ctx context.Context, model string) ([]modelStats, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := c.client.ModelStatistics(ctx, &inferencepb.ModelStatisticsRequest{Name: model})
	if err != nil {
		return nil, err
	}
	d := func(s *inferencepb.StatisticDuration) duration { return duration{s.GetCount(), s.GetNs()} }
	var out []modelStats
	for _, s := range m.ModelStats {
		var r modelStats
		r.Name, r.Version, r.InferenceCount, r.ExecutionCount = s.Name, s.Version, s.InferenceCount, s.ExecutionCount
		i, st := &r.InferenceStats, s.InferenceStats
		i.Success, i.Fail, i.Queue = d(st.GetSuccess()), d(st.GetFail()), d(st.GetQueue())
		i.ComputeInput, i.ComputeInfer, i.ComputeOutput = d(st.GetComputeInput()), d(st.GetComputeInfer()), d(st.GetComputeOutput())
		i.CacheHit, i.CacheMiss = d(st.GetCacheHit()), d(st.GetCacheMiss())
		for _, b := range s.BatchStats {
			r.BatchStats = append(r.BatchStats, struct {
				BatchSize    uint64   `json:"batch_size"`
				ComputeInfer duration `json:"compute_infer"`
			}{b.BatchSize, d(b.ComputeInfer)})
		}
		out = append(out, r)
	}
	return out, nil
}

// Stages is what the server says of a model version between two looks at its statistics.
type Stages struct {
	Model      string `json:"model"`
	Version    string `json:"version"`
	Inferences uint64 `json:"inferences"` // rows
	Executions uint64 `json:"executions"`
	Failures   uint64 `json:"failures"`
	CacheHits  uint64 `json:"cache_hits"`
	// Means for each request that ran, in microseconds; Total covers the whole request.
	Total  float64 `json:"total_us"`
	Queue  float64 `json:"queue_us"`
	Input  float64 `json:"input_us"`
	Infer  float64 `json:"infer_us"`
	Output float64 `json:"output_us"`
	// Batches counts executions by their rows.
	Batches []BatchCount `json:"batches"`
}

// BatchCount is one bar of the batch-size histogram.
type BatchCount struct {
	Rows  uint64  `json:"rows"`
	Count uint64  `json:"count"`
	Infer float64 `json:"infer_us"` // mean run time
}

func (p *Plan) statistics(ctx context.Context) ([]modelStats, error) {
	var out []modelStats
	seen := map[string]bool{}
	for i := range p.targets {
		m := p.targets[i].Model
		if seen[m] {
			continue
		}
		seen[m] = true
		s, err := p.control.statistics(ctx, m)
		if err != nil {
			return nil, err
		}
		out = append(out, s...)
	}
	return out, nil
}

// stages takes the difference of two looks.
func stages(before, after []modelStats) []Stages {
	old := map[string]*modelStats{}
	for i := range before {
		old[before[i].Name+"/"+before[i].Version] = &before[i]
	}
	var out []Stages
	for i := range after {
		a := &after[i]
		b := old[a.Name+"/"+a.Version]
		if b == nil || a.InferenceStats.Success.Count < b.InferenceStats.Success.Count {
			b = &modelStats{} // new, or counting from the start again
		}
		x, y := &a.InferenceStats, &b.InferenceStats
		mean := func(a, b duration) float64 {
			if a.Count == b.Count {
				return 0
			}
			return float64(a.NS-b.NS) / float64(a.Count-b.Count) / 1e3
		}
		s := Stages{Model: a.Name, Version: a.Version, Inferences: a.InferenceCount - b.InferenceCount, Executions: a.ExecutionCount - b.ExecutionCount,
			Failures: x.Fail.Count - y.Fail.Count, CacheHits: x.CacheHit.Count - y.CacheHit.Count,
			Total: mean(x.Success, y.Success), Queue: mean(x.Queue, y.Queue), Input: mean(x.ComputeInput, y.ComputeInput),
			Infer: mean(x.ComputeInfer, y.ComputeInfer), Output: mean(x.ComputeOutput, y.ComputeOutput)}
		was := map[uint64]duration{}
		for _, q := range b.BatchStats {
			was[q.BatchSize] = q.ComputeInfer
		}
		for _, q := range a.BatchStats {
			w := was[q.BatchSize]
			if q.ComputeInfer.Count > w.Count {
				s.Batches = append(s.Batches, BatchCount{q.BatchSize, q.ComputeInfer.Count - w.Count, mean(q.ComputeInfer, w)})
			}
		}
		out = append(out, s)
	}
	return out
}
