package rpc

import (
	"context"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
)

func (h *handler) ServerLive(context.Context, *inferencepb.ServerLiveRequest) (*inferencepb.ServerLiveResponse, error) {
	return &inferencepb.ServerLiveResponse{Live: true}, nil
}

func (h *handler) ServerReady(context.Context, *inferencepb.ServerReadyRequest) (*inferencepb.ServerReadyResponse, error) {
	return &inferencepb.ServerReadyResponse{Ready: h.service.Ready()}, nil
}

func (h *handler) ModelReady(_ context.Context, r *inferencepb.ModelReadyRequest) (*inferencepb.ModelReadyResponse, error) {
	ready, err := h.service.ModelReady([]byte(r.Name), []byte(r.Version))
	if err != nil && api.CodeOf(err) != api.CodeModelNotFound && api.CodeOf(err) != api.CodeModelVersionNotFound {
		return nil, err
	}
	return &inferencepb.ModelReadyResponse{Ready: ready}, nil
}

func (h *handler) ServerMetadata(context.Context, *inferencepb.ServerMetadataRequest) (*inferencepb.ServerMetadataResponse, error) {
	return h.service.Metadata(), nil
}

func (h *handler) ModelMetadata(_ context.Context, r *inferencepb.ModelMetadataRequest) (*inferencepb.ModelMetadataResponse, error) {
	return h.service.ModelMetadata([]byte(r.Name), []byte(r.Version))
}

func (h *handler) ModelConfig(_ context.Context, r *inferencepb.ModelConfigRequest) (*inferencepb.ModelConfigResponse, error) {
	c, err := h.service.ModelConfig([]byte(r.Name), []byte(r.Version))
	if err != nil {
		return nil, err
	}
	return &inferencepb.ModelConfigResponse{Config: c}, nil
}

func (h *handler) ModelStatistics(_ context.Context, r *inferencepb.ModelStatisticsRequest) (*inferencepb.ModelStatisticsResponse, error) {
	return h.service.ModelStatistics([]byte(r.Name), []byte(r.Version))
}

func (h *handler) RepositoryIndex(_ context.Context, r *inferencepb.RepositoryIndexRequest) (*inferencepb.RepositoryIndexResponse, error) {
	return h.service.RepositoryIndex(r.RepositoryName, r.Ready)
}

func (h *handler) RepositoryModelLoad(ctx context.Context, r *inferencepb.RepositoryModelLoadRequest) (*inferencepb.RepositoryModelLoadResponse, error) {
	if err := h.service.RepositoryLoad(ctx, r); err != nil {
		return nil, err
	}
	return &inferencepb.RepositoryModelLoadResponse{}, nil
}

func (h *handler) RepositoryModelUnload(ctx context.Context, r *inferencepb.RepositoryModelUnloadRequest) (*inferencepb.RepositoryModelUnloadResponse, error) {
	if err := h.service.RepositoryUnload(ctx, r); err != nil {
		return nil, err
	}
	return &inferencepb.RepositoryModelUnloadResponse{}, nil
}

func (h *handler) TraceSetting(_ context.Context, r *inferencepb.TraceSettingRequest) (*inferencepb.TraceSettingResponse, error) {
	return h.service.TraceSetting(r)
}

func (h *handler) LogSettings(_ context.Context, r *inferencepb.LogSettingsRequest) (*inferencepb.LogSettingsResponse, error) {
	return h.service.LogSettings(r)
}

func noCudaSharedMemory() error {
	return api.Errorf(api.CodeUnsupported, "CUDA shared memory is not supported by this server")
}

func (h *handler) SystemSharedMemoryStatus(ctx context.Context, r *inferencepb.SystemSharedMemoryStatusRequest) (*inferencepb.SystemSharedMemoryStatusResponse, error) {
	list, err := h.service.SharedMemory().Status(meta(ctx, metaTenant), r.Name)
	if err != nil {
		return nil, err
	}
	out := &inferencepb.SystemSharedMemoryStatusResponse{Regions: map[string]*inferencepb.SystemSharedMemoryStatusResponse_RegionStatus{}}
	for _, g := range list {
		out.Regions[g.Name] = &inferencepb.SystemSharedMemoryStatusResponse_RegionStatus{Name: g.Name, Key: g.Key, Offset: g.Offset, ByteSize: g.Size}
	}
	return out, nil
}

func (h *handler) SystemSharedMemoryRegister(ctx context.Context, r *inferencepb.SystemSharedMemoryRegisterRequest) (*inferencepb.SystemSharedMemoryRegisterResponse, error) {
	if err := h.service.SharedMemory().Register(meta(ctx, metaTenant), r.Name, r.Key, r.Offset, r.ByteSize); err != nil {
		return nil, err
	}
	return &inferencepb.SystemSharedMemoryRegisterResponse{}, nil
}

func (h *handler) SystemSharedMemoryUnregister(ctx context.Context, r *inferencepb.SystemSharedMemoryUnregisterRequest) (*inferencepb.SystemSharedMemoryUnregisterResponse, error) {
	if err := h.service.SharedMemory().Unregister(meta(ctx, metaTenant), r.Name); err != nil {
		return nil, err
	}
	return &inferencepb.SystemSharedMemoryUnregisterResponse{}, nil
}

func (h *handler) CudaSharedMemoryStatus(context.Context, *inferencepb.CudaSharedMemoryStatusRequest) (*inferencepb.CudaSharedMemoryStatusResponse, error) {
	return nil, noCudaSharedMemory()
}

func (h *handler) CudaSharedMemoryRegister(context.Context, *inferencepb.CudaSharedMemoryRegisterRequest) (*inferencepb.CudaSharedMemoryRegisterResponse, error) {
	return nil, noCudaSharedMemory()
}

func (h *handler) CudaSharedMemoryUnregister(context.Context, *inferencepb.CudaSharedMemoryUnregisterRequest) (*inferencepb.CudaSharedMemoryUnregisterResponse, error) {
	return nil, noCudaSharedMemory()
}
