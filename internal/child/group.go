package child

import "errors"

// Limits of a control group; what is 0 is not limited.
type Limits struct {
	// Memory is in bytes, without swap.
	Memory int64
	// Cores bounds the processor time, as so many cores give it.
	Cores int
	// Processes bounds processes and threads.
	Processes int
}

// ErrNoGroups says that there is no folder of control groups to use.
var ErrNoGroups = errors.New("no control groups of version 2 can be made")
