package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/server/logs"
	"github.com/aimass/aimass/server/metrics"
	"github.com/aimass/aimass/server/releases"
	"github.com/aimass/aimass/server/rest"
	"github.com/aimass/aimass/server/rpc"
	"github.com/aimass/aimass/server/service"
)

// Server is the edge of one process. Several may live in one.
type Server struct {
	cfg     Config
	service *service.Service
	handler *rest.Handler
	http    *fasthttp.Server
	grpc    *rpc.Server
	metrics *http.Server
	// Listeners; nil where the address is off.
	httpL, grpcL, metricsL net.Listener
}

// New opens the listeners; connections wait in them until Run. An address that is taken is an error
// that names the flag which changes it.
func New(cfg Config, pipe *pipeline.Pipeline, control service.Control, rel *releases.Releases, log *logs.Logs) (*Server, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg}
	for _, l := range []struct {
		to         *net.Listener
		addr, flag string
	}{{&s.httpL, cfg.HTTPAddr, "--http"}, {&s.grpcL, cfg.GRPCAddr, "--grpc"}, {&s.metricsL, cfg.MetricsAddr, "--metrics"}} {
		var err error
		if *l.to, err = listen(l.addr, l.flag); err != nil {
			s.close()
			return nil, err
		}
	}
	if g := cfg.Metrics.GPUs; g != nil && cfg.Service.GPUs == nil {
		cfg.Service.GPUs = g.Brief
	}
	s.service = service.New(cfg.Service, pipe, control, rel, log)
	h := rest.New(cfg.HTTP, s.service)
	s.handler, s.http = h, h.Server()
	if s.httpL != nil {
		s.httpL = h.Listener(s.httpL)
	}
	s.grpc = rpc.New(cfg.GRPC, s.service)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(cfg.Metrics, s.service))
	s.metrics = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return s, nil
}

func listen(addr, flag string) (net.Listener, error) {
	if addr == Off {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is taken by another program: choose another address with %s [host]:port, or %s off: %w", addr, flag, flag, err)
	}
	if form := (*net.AddrError)(nil); errors.As(err, &form) {
		return nil, fmt.Errorf("%s %s: expected [host]:port, such as 127.0.0.1:8000, or off: %w", flag, addr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, addr, err)
	}
	return &onceListener{Listener: l}, nil
}

// onceListener may be closed by several: only the first Close counts.
type onceListener struct {
	net.Listener
	once sync.Once
}

func (l *onceListener) Close() (err error) {
	l.once.Do(func() { err = l.Listener.Close() })
	return err
}

// Service returns what answers the calls.
func (s *Server) Service() *service.Service { return s.service }

// Addrs returns the addresses of the listeners, empty where one is off.
func (s *Server) Addrs() (httpAddr, grpcAddr, metricsAddr string) {
	text := func(l net.Listener) string {
		if l == nil {
			return ""
		}
		return l.Addr().String()
	}
	return text(s.httpL), text(s.grpcL), text(s.metricsL)
}

// Run serves until ctx is done and then ends in order: readiness off, the grace time, no new requests, those in flight
// answered. It returns nil after that, and an error where a listener fails or requests are still in flight after
// DrainTimeout.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	failed := make(chan error, 3)
	serve := func(l net.Listener, name string, run func(net.Listener) error) {
		if l == nil {
			return
		}
		go func() {
			if err := run(l); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				failed <- fmt.Errorf("%s listener: %w", name, err)
			}
		}()
	}
	serve(s.httpL, "HTTP", s.http.Serve)
	serve(s.grpcL, "gRPC", s.grpc.Serve)
	serve(s.metricsL, "metrics", s.metrics.Serve)
	stopReadiness := s.followReadiness()
	defer stopReadiness()

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log := s.service.Log()
	log.Info("stopping: not ready from now on", "grace", s.cfg.Grace)
	s.service.Drain()
	s.grpc.SetReady(false)
	select {
	case err := <-failed:
		return err
	case <-time.After(s.cfg.Grace):
	}
	err := s.drain()
	log.Info("stopped", "clean", err == nil)
	return err
}

// readinessPeriod is how often gRPC's health service, which pushes changes, learns about them.
const readinessPeriod = 100 * time.Millisecond

func (s *Server) followReadiness() (stop func()) {
	s.grpc.SetReady(s.service.Ready())
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(readinessPeriod)
		defer t.Stop()
		for {
			select {
			case <-quit:
				return
			case <-t.C:
				s.grpc.SetReady(s.service.Ready())
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// settleTime lets connections that were accepted just before the listener closed send their request; Shutdown would close
// them as idle.
const settleTime = 100 * time.Millisecond

// drain stops taking requests and waits for those in flight.
func (s *Server) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancel()
	grpcDone := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(grpcDone)
	}()
	var errs []error
	if s.httpL != nil {
		_ = s.httpL.Close()
		time.Sleep(settleTime)
		s.handler.Idle(ctx)
		if err := s.http.ShutdownWithContext(ctx); err != nil {
			errs = append(errs, fmt.Errorf("HTTP requests still in flight after %v: %w", s.cfg.DrainTimeout, err))
		}
	}
	select {
	case <-grpcDone:
	case <-ctx.Done():
		s.grpc.Stop()
		errs = append(errs, fmt.Errorf("gRPC requests still in flight after %v: %w", s.cfg.DrainTimeout, ctx.Err()))
	}
	if err := s.metrics.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("metrics listener: %w", err))
	}
	return errors.Join(errs...)
}

// close closes what New opened; harmless where it is closed already.
func (s *Server) close() {
	for _, l := range []net.Listener{s.httpL, s.grpcL, s.metricsL} {
		if l != nil {
			_ = l.Close()
		}
	}
}
