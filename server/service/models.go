package service

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/pipeline"
)

// ModelReady reports whether a model (version) serves; an unknown one is an error.
func (s *Service) ModelReady(name, version []byte) (bool, error) {
	v, err := s.Resolve(name, version)
	if err != nil {
		switch api.CodeOf(err) {
		case api.CodeModelLoading, api.CodeModelUnavailable:
			return false, nil
		}
		return false, err
	}
	v.Done()
	return true, nil
}

// ModelMetadata describes a model's inputs and outputs.
func (s *Service) ModelMetadata(name, version []byte) (*inferencepb.ModelMetadataResponse, error) {
	v, err := s.Resolve(name, version)
	if err != nil {
		return nil, err
	}
	defer v.Done()
	m := &inferencepb.ModelMetadataResponse{Name: v.Model, Inputs: ports(v.Inputs), Outputs: ports(v.Outputs)}
	if cfg, err := s.control.Config(v.Model, v.Version); err == nil {
		m.Platform = cfg.Platform
	}
	for _, other := range s.pipe.Versions(name) {
		m.Versions = append(m.Versions, other.VersionText)
	}
	return m, nil
}

func ports(list []pipeline.Port) []*inferencepb.ModelMetadataResponse_TensorMetadata {
	out := make([]*inferencepb.ModelMetadataResponse_TensorMetadata, 0, len(list))
	for _, p := range list {
		if !p.Hidden {
			out = append(out, &inferencepb.ModelMetadataResponse_TensorMetadata{Name: p.Name, Datatype: p.DType.V2(), Shape: p.Shape})
		}
	}
	return out
}

// ModelConfig returns the configuration in force of a version that serves.
func (s *Service) ModelConfig(name, version []byte) (*inferencepb.ModelConfig, error) {
	v, err := s.Resolve(name, version)
	if err != nil {
		return nil, err
	}
	defer v.Done()
	return s.control.Config(v.Model, v.Version)
}

// ModelStatistics returns the counts of one version, of all versions of a model, or with an empty name of all models.
func (s *Service) ModelStatistics(name, version []byte) (*inferencepb.ModelStatisticsResponse, error) {
	r := &inferencepb.ModelStatisticsResponse{}
	switch {
	case len(name) == 0:
		s.pipe.Each(func(v *pipeline.Served) { r.ModelStats = append(r.ModelStats, statistics(v)) })
	case len(version) == 0 && len(s.pipe.Versions(name)) > 0:
		for _, v := range s.pipe.Versions(name) {
			r.ModelStats = append(r.ModelStats, statistics(v))
		}
	default:
		v, err := s.Resolve(name, version)
		if err != nil {
			return nil, err
		}
		defer v.Done()
		r.ModelStats = append(r.ModelStats, statistics(v))
	}
	return r, nil
}

func statistics(v *pipeline.Served) *inferencepb.ModelStatistics {
	st := &v.Stats
	out := &inferencepb.ModelStatistics{
		Name: v.Model, Version: v.VersionText,
		LastInference:  count(&st.LastInference),
		InferenceCount: count(&st.InferenceCount),
		ExecutionCount: count(&st.ExecutionCount),
		InferenceStats: &inferencepb.InferStatistics{
			Success: duration(&st.Success), Fail: duration(&st.Fail), Queue: duration(&st.Queue),
			ComputeInput: duration(&st.Input), ComputeInfer: duration(&st.Infer), ComputeOutput: duration(&st.Output),
			CacheHit: duration(&st.CacheHit), CacheMiss: duration(&st.CacheMiss),
		},
	}
	st.Batches(func(rows int, b *pipeline.BatchStats) {
		out.BatchStats = append(out.BatchStats, &inferencepb.InferBatchStatistics{BatchSize: uint64(max(rows, 1)),
			ComputeInput: duration(&b.Input), ComputeInfer: duration(&b.Infer), ComputeOutput: duration(&b.Output)})
	})
	slices.SortFunc(out.BatchStats, func(a, b *inferencepb.InferBatchStatistics) int { return cmp.Compare(a.BatchSize, b.BatchSize) })
	if owned, mapped := v.Runtime.WeightBytes(); owned+mapped > 0 {
		out.MemoryUsage = []*inferencepb.MemoryUsage{{Type: "CPU", ByteSize: uint64(owned + mapped)}}
	}
	return out
}

func count(n *atomic.Int64) uint64 { return uint64(max(n.Load(), 0)) }

func duration(t *pipeline.Total) *inferencepb.StatisticDuration {
	return &inferencepb.StatisticDuration{Count: count(&t.Count), Ns: count(&t.NS)}
}
