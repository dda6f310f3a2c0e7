package batcher

import (
	"errors"
	"time"
)

// Config is what one model version's batcher needs to know.
type Config struct {
	// MaxRows bounds the rows of a batch made of several requests; one request may have
	// more and then runs alone. 1 means that requests never share a batch. Where sequences of
	// different length run together a row counts for 32 tokens. Default 64.
	MaxRows int
	// Instances is the number of batches in flight at once. Default: the cores.
	Instances int
	// Cores are shared by the batches in flight: one that begins while others run gets its part. Default: the cores.
	Cores int
	// MaxQueue bounds the requests that wait; one more is refused. Default 4096.
	MaxQueue int
	// MaxQueueBytes bounds the input bytes that wait. Default 256 MiB.
	MaxQueueBytes int64
	// Delay makes a batch wait for company until it has Preferred rows, at most this
	// long. Default 0: nothing ever waits while an instance is free.
	Delay time.Duration
	// Preferred is the number of rows that ends the Delay. Default MaxRows.
	Preferred int
	// Inline bounds the learned latency up to which a caller runs its batch itself even
	// though it may be cancelled. Default 1 ms.
	Inline time.Duration
	// Levels is the number of priorities, 1 the highest; 0 means that there is one.
	Levels int
	// DefaultLevel is the priority of requests that name none. Default: the middle.
	DefaultLevel int
	// Weight gives a tenant's share; nil means that all have the same. It is asked once for
	// each tenant and must not block.
	Weight func(tenant string) float64
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults(cores int) Config {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.MaxRows, 64)
	set(&c.Instances, cores)
	set(&c.Cores, cores)
	set(&c.MaxQueue, 4096)
	set(&c.Preferred, c.MaxRows)
	set(&c.Levels, 1)
	set(&c.DefaultLevel, (c.Levels+1)/2)
	if c.MaxQueueBytes == 0 {
		c.MaxQueueBytes = 256 << 20
	}
	if c.Inline == 0 {
		c.Inline = time.Millisecond
	}
	return c
}

// Validate checks a configuration whose defaults are filled.
func (c Config) Validate() error {
	switch {
	case c.MaxRows < 1:
		return errors.New("batcher: MaxRows must be at least 1")
	case c.Instances < 1:
		return errors.New("batcher: Instances must be at least 1")
	case c.MaxQueue < 1 || c.MaxQueueBytes < 1:
		return errors.New("batcher: the queue must hold at least one request")
	case c.Levels < 1 || c.DefaultLevel < 1 || c.DefaultLevel > c.Levels:
		return errors.New("batcher: DefaultLevel must be one of the Levels, which begin at 1")
	case c.Delay < 0:
		return errors.New("batcher: Delay is negative")
	}
	return nil
}
