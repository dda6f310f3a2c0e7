package rest

import (
	"errors"
	"time"
)

// Config of the HTTP side.
type Config struct {
	// MaxInput bounds a request's body in bytes, as sent and decompressed (--http-max-input-size). Default
	// 128 MiB: 5,000 appointments for 200 doctors with 20 slots are a request of 81 MB.
	MaxInput int
	// MaxUpload bounds an upload of training data in bytes (--train-upload-bytes). Default 4 GiB.
	MaxUpload int64
	// MaxChunks bounds the small pieces, below 1 KiB, of which a chunked body may consist. Default 65536.
	MaxChunks int
	// CompressFrom is the length in bytes from which an answer is compressed, if the client accepts that. Default 1024.
	CompressFrom int
	// ReadTimeout bounds the time to read one request, IdleTimeout that between two on a connection, WriteTimeout that to
	// write an answer. Defaults 2 min, 10 min, 2 min.
	ReadTimeout, IdleTimeout, WriteTimeout time.Duration
	// IgnoreClosed has requests that wait run though their client has closed its connection, for clients that close the
	// sending half once they have sent (--http-ignore-closed).
	IgnoreClosed bool
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	set := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	set(&c.MaxInput, 128<<20)
	set(&c.MaxChunks, 1<<16)
	if c.MaxUpload == 0 {
		c.MaxUpload = 4 << 30
	}
	set(&c.CompressFrom, 1024)
	for v, def := range map[*time.Duration]time.Duration{&c.ReadTimeout: 2 * time.Minute, &c.IdleTimeout: 10 * time.Minute, &c.WriteTimeout: 2 * time.Minute} {
		if *v == 0 {
			*v = def
		}
	}
	return c
}

// Validate checks a configuration whose defaults are filled.
func (c Config) Validate() error {
	switch {
	case c.MaxInput < 1024:
		return errors.New("rest: MaxInput must be at least 1024 bytes")
	case c.MaxChunks < 1 || c.CompressFrom < 0:
		return errors.New("rest: MaxChunks and CompressFrom must not be negative")
	case c.ReadTimeout < 0 || c.IdleTimeout < 0 || c.WriteTimeout < 0:
		return errors.New("rest: a timeout is negative")
	}
	return nil
}
