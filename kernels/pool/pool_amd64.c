//go:build cgo && !noasm

#define _GNU_SOURCE
#include "pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORKERS = 63, SPIN_NS = 200000, SCRATCH_SLOTS = 128 };

// What a worker is doing. IDLE → INVITED by a caller; INVITED → RUNNING by the
// worker, or back to IDLE by the caller once no task is left, so that a worker
// that never got the CPU is never waited for.
enum { IDLE, INVITED, RUNNING, SLEEPING };

struct worker {
	_Alignas(64) atomic_int state;
};

static struct worker workers[MAX_WORKERS];
static int started; // guarded by owner
static atomic_flag owner = ATOMIC_FLAG_INIT;

// The tasks of a job that belong to one thread, from next to end.
struct share {
	_Alignas(64) atomic_int next;
	int end;
};

static struct {
	aimass_task_fn *fn;
	void *ctx;
	int shares;
	struct share share[MAX_WORKERS + 1];
} job;

static void futex(atomic_int *at, int op, int value) {
	syscall(SYS_futex, at, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static int64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// work does the tasks of thread self's share, then what is left of the others'.
static void work(int self) {
	for (int i = 0; i < job.shares; i++) {
		int of = self + i < job.shares ? self + i : self + i - job.shares, t;
		struct share *s = &job.share[of];
		while (atomic_load_explicit(&s->next, memory_order_relaxed) < s->end &&
		       (t = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end)
			job.fn(job.ctx, t);
	}
}

// await spins until the worker is invited, sleeping after SPIN_NS.
static void await(struct worker *w) {
	int64_t since = now_ns();
	for (;;) {
		for (int i = 0; i < 256; i++) {
			if (atomic_load_explicit(&w->state, memory_order_acquire) == INVITED)
				return;
			__builtin_ia32_pause();
		}
		if (now_ns() - since < SPIN_NS)
			continue;
		int idle = IDLE;
		if (atomic_compare_exchange_strong(&w->state, &idle, SLEEPING)) {
			while (atomic_load(&w->state) == SLEEPING)
				futex(&w->state, FUTEX_WAIT, SLEEPING);
			since = now_ns();
		}
	}
}

static void *worker_main(void *arg) {
	struct worker *w = arg;
	for (;;) {
		await(w);
		int invited = INVITED;
		if (!atomic_compare_exchange_strong(&w->state, &invited, RUNNING))
			continue;
		work((int)(w - workers) + 1);
		atomic_store_explicit(&w->state, IDLE, memory_order_release);
	}
	return NULL;
}

// start makes sure that want workers run, as far as the system lets it.
// Signals stay with Go's threads.
static void start(int want) {
	if (started >= want)
		return;
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	while (started < want) {
		pthread_t id;
		if (pthread_create(&id, &attr, worker_main, &workers[started]))
			break;
		started++;
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void invite(struct worker *w) {
	if (atomic_exchange(&w->state, INVITED) == SLEEPING)
		futex(&w->state, FUTEX_WAKE, 1);
}

static void collect(struct worker *w) {
	int invited = INVITED;
	if (atomic_compare_exchange_strong(&w->state, &invited, IDLE))
		return;
	for (int i = 0; atomic_load_explicit(&w->state, memory_order_acquire) == RUNNING; i++) {
		__builtin_ia32_pause();
		if (i > 20000)
			sched_yield();
	}
}

void aimass_pool_run(aimass_task_fn *fn, void *ctx, int tasks, int threads) {
	if (threads > tasks)
		threads = tasks;
	if (threads > MAX_WORKERS + 1)
		threads = MAX_WORKERS + 1;
	if (threads <= 1 || atomic_flag_test_and_set_explicit(&owner, memory_order_acquire)) {
		for (int t = 0; t < tasks; t++)
			fn(ctx, t);
		return;
	}
	start(threads - 1);
	int n = threads - 1 < started ? threads - 1 : started;
	job.fn = fn;
	job.ctx = ctx;
	job.shares = n + 1;
	for (int i = 0; i <= n; i++) {
		atomic_store_explicit(&job.share[i].next, (int)((long)tasks * i / (n + 1)), memory_order_relaxed);
		job.share[i].end = (int)((long)tasks * (i + 1) / (n + 1));
	}
	for (int i = 0; i < n; i++)
		invite(&workers[i]);
	work(0);
	for (int i = 0; i < n; i++)
		collect(&workers[i]);
	atomic_flag_clear_explicit(&owner, memory_order_release);
}

enum { COPY_BYTES = 128 << 10 }; // at least so many a task, where rows are that long

struct copy {
	char *dst;
	const char *src;
	long to, from, size, rows, parts;
};

static void copy_task(void *arg, int task) {
	const struct copy *c = arg;
	long row = task / c->parts, part = task % c->parts;
	long at = c->size * part / c->parts, end = c->size * (part + 1) / c->parts;
	memcpy(c->dst + row * c->to + at, c->src + row * c->from + at, end - at);
}

void aimass_pool_copy(char *dst, long to, const char *src, long from, long size, long rows, int threads) {
	struct copy c = {dst, src, to, from, size, rows, size / COPY_BYTES + 1};
	aimass_pool_run(copy_task, &c, (int)(rows * c.parts), threads);
}

static struct {
	atomic_int taken;
	void *p;
	size_t bytes;
} scratch[SCRATCH_SLOTS];

static size_t round_up(size_t bytes) { return (bytes + 65535) & ~(size_t)65535; }

static void *map(size_t bytes) {
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		abort();
	return p;
}

void *aimass_scratch_get(size_t bytes, int *slot) {
	bytes = round_up(bytes);
	for (int i = 0; i < SCRATCH_SLOTS; i++) {
		if (atomic_load_explicit(&scratch[i].taken, memory_order_relaxed) ||
		    atomic_exchange_explicit(&scratch[i].taken, 1, memory_order_acquire))
			continue;
		if (scratch[i].bytes < bytes) {
			if (scratch[i].p)
				munmap(scratch[i].p, scratch[i].bytes);
			scratch[i].p = map(bytes);
			scratch[i].bytes = bytes;
		}
		*slot = i;
		return scratch[i].p;
	}
	*slot = -1;
	return map(bytes);
}

void aimass_scratch_put(void *p, size_t bytes, int slot) {
	if (slot < 0) {
		munmap(p, round_up(bytes));
		return;
	}
	atomic_store_explicit(&scratch[slot].taken, 0, memory_order_release);
}
