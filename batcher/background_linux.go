package batcher

import "golang.org/x/sys/unix"

const lowersThreads = true

// lowest is the nice value of runs in the background. Less than the greatest won't do: the kernel leaves a thread that has begun to
// run its slice, up to a tick of some milliseconds, unless the waking one's weight is far greater. SCHED_IDLE has less weight still,
// and would run nothing where refusals alone fill a core.
const lowest = 19

// slice is the time slice in nanoseconds that a thread in the background asks for, the most there is. Since Linux 6.12 a thread with
// a shorter slice preempts one with a longer slice that has begun it (sched(7), EEVDF's PREEMPT_SHORT); earlier ones don't look at it.
const slice = 100e6

// lowerThread lowers this thread's priority, which needs no right and can't be undone without one. On Linux a nice
// value is a thread's.
func lowerThread() {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{Flags: unix.SCHED_FLAG_KEEP_POLICY, Nice: lowest, Runtime: slice}, 0)
	if err != nil { // a sandbox, or a real-time thread, which has no slice
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowest)
	}
}
