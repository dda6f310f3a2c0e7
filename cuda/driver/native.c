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
