/*
 * Opens the CUDA driver at the first call of any of its functions and fills the slots
 * through which the stubs of trampolines.S jump. The library is $AIMASS_CUDA_LIBRARY, else
 * libcuda.so.1. cuInit is called here rather than by its caller: gorgonia.org/cu calls it in
 * its package init and exits the process if it fails, so its stub always answers success.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

extern void *aimass_cuda_slots[];
extern const char *const aimass_cuda_names[];
extern const int aimass_cuda_count;

enum { no_device = 100, not_found = 500 };

static int code;
static char message[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int absent(void) { return code; }
static int missing(void) { return not_found; }

static void resolve(void) {
	const char *path = getenv("AIMASS_CUDA_LIBRARY");
	if (path == NULL || *path == 0)
		path = "libcuda.so.1";
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int (*init)(unsigned) = NULL;
	if (lib == NULL) {
		code = no_device;
		const char *why = dlerror();
		snprintf(message, sizeof message, "%s", why != NULL ? why : path);
	} else if ((init = (int (*)(unsigned))dlsym(lib, "cuInit")) == NULL) {
		code = no_device;
		snprintf(message, sizeof message, "%s: it has no cuInit", path);
	} else if ((code = init(0)) != 0) {
		snprintf(message, sizeof message, "%s: cuInit returned %d", path, code);
	}
	for (int i = 0; i < aimass_cuda_count; i++) {
		void *f = code != 0 ? (void *)absent : dlsym(lib, aimass_cuda_names[i]);
		__atomic_store_n(&aimass_cuda_slots[i], f != NULL ? f : (void *)missing, __ATOMIC_RELEASE);
	}
}

void aimass_cuda_resolve(void) { pthread_once(&once, resolve); }

/* aimass_cuda_status returns cuInit's code, or 100 without a library;
 * *why tells what went wrong. */
int aimass_cuda_status(const char **why) {
	aimass_cuda_resolve();
	*why = message;
	return code;
}
