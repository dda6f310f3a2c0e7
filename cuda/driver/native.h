// What the driver package calls beside gorgonia.org/cu. Every function returns a CUresult.
#ifndef AIMASS_CUDA_NATIVE_H
#define AIMASS_CUDA_NATIVE_H
#include <cuda.h>
#include <stdint.h>

typedef struct {
	uint64_t function; // a CUfunction
	uint32_t grid[3], block[3];
	uint32_t shared, args;
} aimass_launch;

typedef struct {
	uint64_t dst, src; // a device address and a host address, or two device addresses
	uint64_t bytes;
	uint64_t from; // for a copy between devices the CUcontext of src, else 0
} aimass_copy;

int aimass_driver_status(const char **why);
int aimass_load(void **module, const void *image, char *log, unsigned size);
int aimass_launch_all(const aimass_launch *list, uint32_t n, const uint64_t *args, void *stream, uint32_t *failed);
int aimass_shared_limit(void *function, int bytes);
int aimass_capture(const aimass_launch *list, uint32_t n, const uint64_t *args, void *stream, void **exec, uint32_t *failed);
int aimass_enqueue(void *ctx, void *stream, void *const *waits, uint32_t nwaits, const aimass_copy *in, uint32_t nin, void *exec, const aimass_copy *out, uint32_t nout, void *done, int *stage);
int aimass_execute(void *ctx, void *stream, const aimass_copy *in, uint32_t nin, void *exec, const aimass_copy *out, uint32_t nout, int *stage);
int aimass_graph_free(void *exec);
int aimass_pinned(void **p, uint64_t bytes);
int aimass_pool_alloc(uint64_t *p, uint64_t bytes, void *stream);
int aimass_pool_free(uint64_t p, void *stream);
int aimass_pool_trim(int device);
int aimass_pool_share(int device, int with);
int aimass_bus_id(char *text, int size, int device);
#endif
