package batcher

import "golang.org/x/sys/unix"

const lowersThreads = true

// lowest is the nice value of runs in the background. Less than the greatest won't do: the kernel leaves a thread that has begun to run its slice, up
// to a tick of some milliseconds, unless the waking one's claim is far greater. SCHED_IDLE claims less still, and would run nothing where refusals alone fill a core.
const lowest = 19

// lowerThread lowers this thread's claim to the processor, which needs no right and can't be undone without one. On Linux a nice
// value is a thread's.
func lowerThread() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowest) }
