package schedule

import (
	goruntime "runtime"
	"sync"
	"sync/atomic"

	"github.com/aimass/aimass/appointment"
)

// sized returns an error unless an input has the number of values that its shape takes.
func sized(field string, got, want int) error {
	if got == want {
		return nil
	}
	return appointment.Errorf(appointment.CodeRaggedBatch, field, "%d values, not %d", got, want)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// eachRow runs f for the rows 0 to n-1, side by side on the cores there are, and returns
// the first row's error.
func eachRow(n int, f func(row int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, goruntime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for b := int(next.Add(1)) - 1; b < n; b = int(next.Add(1)) - 1 {
				errs[b] = f(b)
			}
		})
	}
	workers.Wait()
	return firstError(errs...)
}
