// What Go asks of NVIDIA's management library. A function gives the library's return code, 0 for success.
#ifndef AIMASS_NVML_NATIVE_H
#define AIMASS_NVML_NATIVE_H
#include <stdint.h>

// Return codes of nvml.h.
enum { AIMASS_NVML_TIMEOUT = 10, AIMASS_NVML_NO_LIBRARY = 12, AIMASS_NVML_NO_FUNCTION = 13 };

typedef struct aimass_nvml aimass_nvml; // the opened library

typedef struct {
	char uuid[96], name[96], pci[32];
	// Figures that the device does not give are −1. Power is in mW, energy in mJ.
	int64_t total, used, utilization, temperature, power, limit, energy, ecc;
	uint32_t mig, instances; // whether the device is divided, and into how many at most
} aimass_gpu;

int aimass_nvml_open(const char *path, aimass_nvml **opened);
int aimass_nvml_close(aimass_nvml *l);
const char *aimass_nvml_error(aimass_nvml *l, int code);
int aimass_nvml_driver(aimass_nvml *l, char version[96]);
int aimass_nvml_count(aimass_nvml *l, uint32_t *n);
int aimass_nvml_gpu(aimass_nvml *l, uint32_t i, aimass_gpu *g);
int aimass_nvml_instance(aimass_nvml *l, uint32_t i, uint32_t k, char uuid[96]);
int aimass_nvml_peer(aimass_nvml *l, uint32_t i, uint32_t k, int *access, int *ancestor);
// aimass_nvml_watch makes a set of critical XIDs of all devices that report them, and counts those.
int aimass_nvml_watch(aimass_nvml *l, void **set, uint32_t *devices);
// aimass_nvml_wait gives AIMASS_NVML_TIMEOUT when no XID came.
int aimass_nvml_wait(aimass_nvml *l, void *set, uint32_t ms, char uuid[96], uint64_t *xid);
int aimass_nvml_unwatch(aimass_nvml *l, void *set);
#endif
