package server

import (
	"errors"
	"fmt"
	"time"

	"github.com/aimass/aimass/server/metrics"
	"github.com/aimass/aimass/server/rest"
	"github.com/aimass/aimass/server/rpc"
	"github.com/aimass/aimass/server/service"
)

// Off is the address of a listener that is not wanted.
const Off = "off"

// Config of the server.
type Config struct {
	// HTTPAddr, GRPCAddr and MetricsAddr are [host]:port, or off. Defaults 127.0.0.1 with 8000, 8001, 8002.
	HTTPAddr, GRPCAddr, MetricsAddr string
	// Grace is how long the server goes on taking requests after it was told to stop and says that it is not ready, so
	// that load balancers notice. Default 0; behind Kubernetes, some seconds more than the readiness probe's period.
	Grace time.Duration
	// DrainTimeout bounds the wait for requests in flight after that. Default 30 s.
	DrainTimeout time.Duration

	Service service.Config
	HTTP    rest.Config
	GRPC    rpc.Config
	Metrics metrics.Config
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	set := func(v *string, def string) {
		if *v == "" {
			*v = def
		}
	}
	set(&c.HTTPAddr, "127.0.0.1:8000")
	set(&c.GRPCAddr, "127.0.0.1:8001")
	set(&c.MetricsAddr, "127.0.0.1:8002")
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 30 * time.Second
	}
	c.HTTP, c.GRPC = c.HTTP.WithDefaults(), c.GRPC.WithDefaults()
	return c
}

// Validate checks a configuration whose defaults are filled.
func (c Config) Validate() error {
	if c.Grace < 0 || c.DrainTimeout < 0 {
		return errors.New("server: Grace and DrainTimeout must not be negative")
	}
	if err := errors.Join(c.HTTP.Validate(), c.GRPC.Validate()); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}
