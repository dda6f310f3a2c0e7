// Command serve measures a running server as its users see it, beside a no-op server of the
// same protocol in the same run: what a request costs the processor, with and without the cache;
// goodput under twice the load that it can take; tenants, cancellation and deadlines beside a busy model; batches without tuning; a cache
// that servers share; many models in little memory; many connections. It prints a table and writes it to a file.
//
//	serve [--out FILE] [--duration 2s] [--rounds 3] [--peers DIR --peer-scripts DIR] [--peer NAME=HTTP,GRPC,PID] BINARY
//
// With --peers Triton is started, and its rows stand beside ours. A --peer is another v2 server that
// was started by hand with models called mlp, gbdt and mlp_cached.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aimass/aimass/kernels/isa"
)

// run is one measurement of everything.
type run struct {
	ctx      context.Context
	binary   string
	dir      string
	duration time.Duration
	rounds   int
	section  string
	peers    []server
	place    peerPlace
	out      io.Writer
}

// server is one that is measured.
type server struct {
	name, http, grpc string
	pid              int
	// without: the models that it does not have
	without func(model string) bool
}

func main() {
	if len(os.Args) == 4 && strings.HasPrefix(os.Args[1], "noop-") {
		noop := noopHTTP
		switch os.Args[1] {
		case "noop-grpc":
			noop = noopGRPC
		case "noop-refuse":
			noop = refuse
		}
		fail(noop(os.Args[2], os.Args[3]))
		return
	}
	r := &run{}
	var file string
	flag.StringVar(&file, "out", "", "write the table to this file, too")
	flag.DurationVar(&r.duration, "duration", 2*time.Second, "length of one measurement")
	flag.IntVar(&r.rounds, "rounds", 3, "measurements of each row, interleaved; the least processor time counts")
	flag.StringVar(&r.section, "section", "", "measure only the sections that have this in their name")
	flag.Func("peer", "another server, as NAME=http://host:port,host:port,PID", func(s string) error {
		name, rest, _ := strings.Cut(s, "=")
		f := strings.Split(rest, ",")
		if len(f) != 3 {
			return fmt.Errorf("expected NAME=HTTP,GRPC,PID")
		}
		pid, err := strconv.Atoi(f[2])
		r.peers = append(r.peers, server{name: name, http: f[0], grpc: f[1], pid: pid})
		return err
	})
	flag.StringVar(&r.place.dir, "peers", "", "where other servers are installed (shared/peers does that): Triton is started from there")
	flag.StringVar(&r.place.scripts, "peer-scripts", "", "the folder shared/peers")
	flag.Parse()
	if flag.NArg() != 1 {
		fail(fmt.Errorf("usage: serve [flags] BINARY"))
	}
	r.binary = flag.Arg(0)
	_, _ = syscall.Setsid() // fails where this leads a group already
	favour(os.Getpid())
	var text strings.Builder
	r.out = io.MultiWriter(os.Stdout, &text)
	fail(r.all())
	if file != "" {
		fail(os.MkdirAll(filepath.Dir(file), 0o755))
		fail(os.WriteFile(file, []byte(text.String()), 0o644))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

// all measures every section; one that fails is said to have, and the others go on.
func (r *run) all() error {
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	var err error
	if r.dir, err = os.MkdirTemp("", "aimass-serve-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	if err := writeModels(filepath.Join(r.dir, "models")); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "# Serving, %s\n\n%s, %d cores, %s, %s. Server and load share the machine.\n", time.Now().Format("2006-01-02"), processorName(),
		goruntime.NumCPU(), isa.Current().Level, goruntime.Version())
	for _, section := range [...]struct {
		name string
		run  func() error
	}{{"What a request costs", r.costs}, {"MiniLM", r.embed}, {"Under twice the load", r.overload}, {"What each caller is promised", r.promises},
		{"Without tuning", r.untuned}, {"Bytes in and out", r.wireSpeed}, {"A cache that servers share", r.tier}, {"Agreement of the load generator", r.agreement},
		{"A thousand models", r.manyModels}, {"Connections", r.connections}} {
		if !strings.Contains(strings.ToLower(section.name), strings.ToLower(r.section)) {
			continue
		}
		fmt.Fprintf(r.out, "\n## %s\n\n", section.name)
		if err := section.run(); err != nil {
			fmt.Fprintf(r.out, "NOT RUN: %v\n", err)
		}
	}
	return nil
}

func processorName() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, "\t :\n")
		}
	}
	return goruntime.GOARCH
}

// serve starts our server on a repository.
func (r *run) serve(models string, env []string, flags ...string) (*process, error) {
	var addr [2]string
	for i := range addr {
		var err error
		if addr[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	args := append([]string{r.binary, "serve", "--models", models, "--http", addr[0], "--grpc", addr[1], "--metrics", "off"}, flags...)
	if len(env) > 0 && strings.HasPrefix(env[0], "taskset=") {
		args = append([]string{"taskset", "-c", strings.TrimPrefix(env[0], "taskset=")}, args...)
		env = env[1:]
	}
	p, err := start(r.ctx, "http://"+addr[0]+"/v2/health/ready", "", env, args...)
	if err != nil {
		return nil, err
	}
	p.http, p.grpc = "http://"+addr[0], addr[1]
	return p, nil
}
