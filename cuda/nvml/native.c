//go:build cuda && cgo && linux

#include "native.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Structures and constants of nvml.h: they are the library's ABI. */
typedef struct {
	char legacy[16];
	unsigned domain, bus, device, ids, subsystem;
	char bus_id[32];
} pci_info;
typedef struct {
	unsigned long long total, free, used;
} memory;
typedef struct {
	unsigned gpu, memory;
} utilization;
typedef struct {
	void *device;
	unsigned long long type, data;
	unsigned gpu_instance, compute_instance;
} event_data;
enum { temperature_gpu = 0, error_uncorrected = 1, ecc_aggregate = 1, p2p_read = 0, p2p_ok = 0, event_xid = 8 };

#define FUNCTIONS(F)                                                                   \
	F(init, "nvmlInit_v2", (void))                                                     \
	F(shutdown, "nvmlShutdown", (void))                                                \
	F(driver, "nvmlSystemGetDriverVersion", (char *, unsigned))                        \
	F(count, "nvmlDeviceGetCount_v2", (unsigned *))                                    \
	F(handle, "nvmlDeviceGetHandleByIndex_v2", (unsigned, void **))                    \
	F(uuid, "nvmlDeviceGetUUID", (void *, char *, unsigned))                           \
	F(name, "nvmlDeviceGetName", (void *, char *, unsigned))                           \
	F(pci, "nvmlDeviceGetPciInfo_v3", (void *, pci_info *))                            \
	F(memory, "nvmlDeviceGetMemoryInfo", (void *, memory *))                           \
	F(utilization, "nvmlDeviceGetUtilizationRates", (void *, utilization *))           \
	F(temperature, "nvmlDeviceGetTemperature", (void *, int, unsigned *))              \
	F(power, "nvmlDeviceGetPowerUsage", (void *, unsigned *))                          \
	F(limit, "nvmlDeviceGetEnforcedPowerLimit", (void *, unsigned *))                  \
	F(energy, "nvmlDeviceGetTotalEnergyConsumption", (void *, unsigned long long *))   \
	F(ecc, "nvmlDeviceGetTotalEccErrors", (void *, int, int, unsigned long long *))    \
	F(mig, "nvmlDeviceGetMigMode", (void *, unsigned *, unsigned *))                   \
	F(instances, "nvmlDeviceGetMaxMigDeviceCount", (void *, unsigned *))               \
	F(instance, "nvmlDeviceGetMigDeviceHandleByIndex", (void *, unsigned, void **))    \
	F(p2p, "nvmlDeviceGetP2PStatus", (void *, void *, int, int *))                     \
	F(ancestor, "nvmlDeviceGetTopologyCommonAncestor", (void *, void *, int *))        \
	F(set_create, "nvmlEventSetCreate", (void **))                                     \
	F(set_free, "nvmlEventSetFree", (void *))                                          \
	F(set_wait, "nvmlEventSetWait_v2", (void *, event_data *, unsigned))               \
	F(register_events, "nvmlDeviceRegisterEvents", (void *, unsigned long long, void *))

struct aimass_nvml {
	void *library;
	const char *(*error)(int);
#define POINTER(name, symbol, arguments) int(*name) arguments;
	FUNCTIONS(POINTER)
#undef POINTER
};

/* An older driver's library may lack a function. */
#define CALL(l, name, ...) ((l)->name != NULL ? (l)->name(__VA_ARGS__) : AIMASS_NVML_NO_FUNCTION)

int aimass_nvml_open(const char *path, aimass_nvml **opened) {
	void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (library == NULL)
		return AIMASS_NVML_NO_LIBRARY;
	aimass_nvml *l = calloc(1, sizeof *l);
	l->library = library;
	*(void **)&l->error = dlsym(library, "nvmlErrorString");
#define RESOLVE(name, symbol, arguments) *(void **)&l->name = dlsym(library, symbol);
	FUNCTIONS(RESOLVE)
#undef RESOLVE
	*opened = l;
	return CALL(l, init);
}

int aimass_nvml_close(aimass_nvml *l) {
	int r = CALL(l, shutdown);
	dlclose(l->library);
	free(l);
	return r;
}

const char *aimass_nvml_error(aimass_nvml *l, int code) { return l->error != NULL ? l->error(code) : "the library has no nvmlErrorString"; }

int aimass_nvml_driver(aimass_nvml *l, char version[96]) { return CALL(l, driver, version, 96); }

int aimass_nvml_count(aimass_nvml *l, uint32_t *n) { return CALL(l, count, n); }

int aimass_nvml_gpu(aimass_nvml *l, uint32_t i, aimass_gpu *g) {
	memset(g, 0, sizeof *g);
	g->total = g->used = g->utilization = g->temperature = g->power = g->limit = g->energy = g->ecc = -1;
	void *d;
	int r = CALL(l, handle, i, &d);
	if (r == 0)
		r = CALL(l, uuid, d, g->uuid, sizeof g->uuid);
	if (r != 0)
		return r;
	unsigned v, pending;
	unsigned long long w;
	pci_info p;
	memory m;
	utilization u;
	if (CALL(l, name, d, g->name, sizeof g->name) != 0)
		g->name[0] = 0;
	if (CALL(l, pci, d, &p) == 0)
		memcpy(g->pci, p.bus_id, sizeof g->pci - 1);
	if (CALL(l, memory, d, &m) == 0)
		g->total = (int64_t)m.total, g->used = (int64_t)m.used;
	if (CALL(l, utilization, d, &u) == 0)
		g->utilization = u.gpu;
	if (CALL(l, temperature, d, temperature_gpu, &v) == 0)
		g->temperature = v;
	if (CALL(l, power, d, &v) == 0)
		g->power = v;
	if (CALL(l, limit, d, &v) == 0)
		g->limit = v;
	if (CALL(l, energy, d, &w) == 0)
		g->energy = (int64_t)w;
	if (CALL(l, ecc, d, error_uncorrected, ecc_aggregate, &w) == 0)
		g->ecc = (int64_t)w;
	g->mig = CALL(l, mig, d, &v, &pending) == 0 && v == 1;
	if (g->mig && CALL(l, instances, d, &v) == 0)
		g->instances = v;
	return 0;
}

int aimass_nvml_instance(aimass_nvml *l, uint32_t i, uint32_t k, char uuid[96]) {
	void *d, *instance;
	int r = CALL(l, handle, i, &d);
	if (r == 0)
		r = CALL(l, instance, d, k, &instance);
	return r == 0 ? CALL(l, uuid, instance, uuid, 96) : r;
}

int aimass_nvml_peer(aimass_nvml *l, uint32_t i, uint32_t k, int *access, int *ancestor) {
	void *a, *b;
	int status, level, r = CALL(l, handle, i, &a);
	if (r == 0)
		r = CALL(l, handle, k, &b);
	if (r != 0)
		return r;
	*access = CALL(l, p2p, a, b, p2p_read, &status) == 0 && status == p2p_ok;
	*ancestor = CALL(l, ancestor, a, b, &level) == 0 ? level : -1;
	return 0;
}

int aimass_nvml_watch(aimass_nvml *l, void **set, uint32_t *devices) {
	uint32_t n;
	int r = CALL(l, count, &n);
	if (r == 0)
		r = CALL(l, set_create, set);
	if (r != 0)
		return r;
	*devices = 0;
	for (uint32_t i = 0; i < n; i++) {
		void *d;
		if (CALL(l, handle, i, &d) == 0 && CALL(l, register_events, d, event_xid, *set) == 0)
			++*devices;
	}
	return 0;
}

int aimass_nvml_wait(aimass_nvml *l, void *set, uint32_t ms, char uuid[96], uint64_t *xid) {
	event_data e;
	int r = CALL(l, set_wait, set, &e, ms);
	if (r != 0)
		return r;
	if (e.type != event_xid)
		return AIMASS_NVML_TIMEOUT;
	*xid = e.data;
	if (CALL(l, uuid, e.device, uuid, 96) != 0)
		uuid[0] = 0;
	return 0;
}

int aimass_nvml_unwatch(aimass_nvml *l, void *set) { return CALL(l, set_free, set); }
