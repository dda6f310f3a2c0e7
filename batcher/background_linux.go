package batcher

import "golang.org/x/sys/unix"

const lowersThreads = true

// lowered is by how much the nice value of a run in the background is greater: where both want a core, it has a ninth of an ordinary
// thread's share.
const lowered = 10

// lowerThread lowers this thread's claim to the processor, which needs no right and can't be undone without one. On Linux a nice
// value is a thread's.
func lowerThread() {
	if nice, err := ownNice(); err == nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, min(nice+lowered, 19))
	}
}

// ownNice is this thread's nice value; the system call gives 20 less that.
func ownNice() (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - n, err
}
