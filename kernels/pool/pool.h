// The C side of the pool; see pool.go for what it promises.
#ifndef AIMASS_POOL_H
#define AIMASS_POOL_H

#include <stddef.h>

typedef void aimass_task_fn(void *ctx, int task);

// Calls fn(ctx, 0) … fn(ctx, tasks-1), each once, on at most threads threads
// with the caller's among them; returns when all are done. Each thread starts
// with a share of neighbouring tasks, the same share of every job: where the
// tasks of one job write what tasks as far on in the next one read, that lies
// in the thread's own cache. Who is done with its share helps the others. fn
// must not call aimass_pool_run.
void aimass_pool_run(aimass_task_fn *fn, void *ctx, int tasks, int threads);

// Copies rows of size bytes from src, from bytes apart, to dst, to bytes apart.
void aimass_pool_copy(char *dst, long to, const char *src, long from, long size, long rows, int threads);

// A scratch buffer of at least bytes bytes at a page boundary, its contents
// undefined. Buffers are kept for reuse, so once warm nothing is allocated.
// *slot goes to aimass_scratch_put.
void *aimass_scratch_get(size_t bytes, int *slot);
void aimass_scratch_put(void *p, size_t bytes, int slot);

#endif
