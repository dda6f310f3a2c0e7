//go:build cuda && cgo

#include "native.h"

/* The trampolines have it; a driver's own library that is linked instead has not. */
extern int aimass_cuda_status(const char **why) __attribute__((weak));

int aimass_driver_status(const char **why) {
	*why = "";
	return aimass_cuda_status != NULL ? aimass_cuda_status(why) : cuInit(0);
}

int aimass_load(void **module, const void *image, char *log, unsigned size) {
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)(uintptr_t)size};
	log[0] = 0;
	return cuModuleLoadDataEx((CUmodule *)module, image, 2, options, values);
}

enum { max_args = 64 };

int aimass_launch_all(const aimass_launch *list, uint32_t n, const uint64_t *args, void *stream, uint32_t *failed) {
	void *params[max_args];
	for (uint32_t i = 0; i < n; i++) {
		const aimass_launch *l = &list[i];
		*failed = i;
		if (l->args > max_args)
			return CUDA_ERROR_INVALID_VALUE;
		for (uint32_t k = 0; k < l->args; k++)
			params[k] = (void *)&args[k];
		args += l->args;
		CUresult r = cuLaunchKernel((CUfunction)(uintptr_t)l->function, l->grid[0], l->grid[1], l->grid[2], l->block[0], l->block[1], l->block[2], l->shared, (CUstream)stream, params, NULL);
		if (r != CUDA_SUCCESS)
			return r;
	}
	return CUDA_SUCCESS;
}

int aimass_shared_limit(void *function, int bytes) {
	return cuFuncSetAttribute((CUfunction)function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
}

int aimass_bus_id(char *text, int size, int device) { return cuDeviceGetPCIBusId(text, size, device); }

int aimass_capture(const aimass_launch *list, uint32_t n, const uint64_t *args, void *stream, void **exec, uint32_t *failed) {
	CUgraph graph = NULL;
	CUresult r = cuStreamBeginCapture((CUstream)stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
	*failed = 0;
	if (r != CUDA_SUCCESS)
		return r;
	r = aimass_launch_all(list, n, args, stream, failed);
	CUresult end = cuStreamEndCapture((CUstream)stream, &graph);
	if (r == CUDA_SUCCESS && (r = end) == CUDA_SUCCESS)
		r = cuGraphInstantiateWithFlags((CUgraphExec *)exec, graph, 0);
	if (graph != NULL)
		cuGraphDestroy(graph);
	return r;
}

/* aimass_enqueue lets the stream wait for events, then enqueues copies in, a graph and copies out, each if
 * there are any, and records an event if one is given. *stage tells where it failed: 0 in, 1 graph,
 * 2 out, 4 waiting for an event, 5 recording one. */
int aimass_enqueue(void *ctx, void *stream, void *const *waits, uint32_t nwaits, const aimass_copy *in, uint32_t nin, void *exec, const aimass_copy *out, uint32_t nout, void *done, int *stage) {
	CUstream s = (CUstream)stream;
	CUresult r = CUDA_SUCCESS;
	*stage = 4;
	for (uint32_t i = 0; i < nwaits && r == CUDA_SUCCESS; i++)
		r = cuStreamWaitEvent(s, (CUevent)waits[i], 0);
	if (r == CUDA_SUCCESS)
		*stage = 0;
	for (uint32_t i = 0; i < nin && r == CUDA_SUCCESS; i++)
		if (in[i].from != 0)
			r = cuMemcpyPeerAsync(in[i].dst, (CUcontext)ctx, in[i].src, (CUcontext)(uintptr_t)in[i].from, in[i].bytes, s);
		else
			r = cuMemcpyHtoDAsync(in[i].dst, (const void *)(uintptr_t)in[i].src, in[i].bytes, s);
	if (r == CUDA_SUCCESS && exec != NULL) {
		*stage = 1;
		r = cuGraphLaunch((CUgraphExec)exec, s);
	}
	if (r == CUDA_SUCCESS && nout > 0)
		*stage = 2;
	for (uint32_t i = 0; i < nout && r == CUDA_SUCCESS; i++)
		r = cuMemcpyDtoHAsync((void *)(uintptr_t)out[i].dst, out[i].src, out[i].bytes, s);
	if (r == CUDA_SUCCESS && done != NULL) {
		*stage = 5;
		r = cuEventRecord((CUevent)done, s);
	}
	return r;
}

/* aimass_execute enqueues and waits. *stage is 3 where waiting failed. What was enqueued before a
 * failure is waited for, since it may still read or write the caller's memory. */
int aimass_execute(void *ctx, void *stream, const aimass_copy *in, uint32_t nin, void *exec, const aimass_copy *out, uint32_t nout, int *stage) {
	int r = aimass_enqueue(ctx, stream, NULL, 0, in, nin, exec, out, nout, NULL, stage);
	CUresult end = cuStreamSynchronize((CUstream)stream);
	if (r == CUDA_SUCCESS && end != CUDA_SUCCESS) {
		*stage = 3;
		return end;
	}
	return r;
}

int aimass_graph_free(void *exec) { return cuGraphExecDestroy((CUgraphExec)exec); }

int aimass_pinned(void **p, uint64_t bytes) { return cuMemHostAlloc(p, bytes, CU_MEMHOSTALLOC_PORTABLE); }

int aimass_pool_alloc(uint64_t *p, uint64_t bytes, void *stream) {
	CUdeviceptr at = 0;
	CUresult r = cuMemAllocAsync(&at, bytes, (CUstream)stream);
	*p = at;
	return r;
}

int aimass_pool_free(uint64_t p, void *stream) { return cuMemFreeAsync(p, (CUstream)stream); }

/* What the pool keeps and nobody uses goes back to the device. */
int aimass_pool_trim(int device) {
	CUmemoryPool pool;
	CUresult r = cuDeviceGetDefaultMemPool(&pool, device);
	return r == CUDA_SUCCESS ? cuMemPoolTrimTo(pool, 0) : r;
}

/* Peer access between contexts does not reach a pool's memory: it is given for the pool. */
int aimass_pool_share(int device, int with) {
	CUmemoryPool pool;
	CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, with}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
	CUresult r = cuDeviceGetDefaultMemPool(&pool, device);
	return r == CUDA_SUCCESS ? cuMemPoolSetAccess(pool, &access, 1) : r;
}
