package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/client"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestMain lets the test binary stand for the program: the end-to-end tests run it as a
// process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("E2E_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is `aimass serve` in a process of its own.
type process struct {
	cmd        *exec.Cmd
	http, grpc string
	log        *logFile
}

// logFile keeps what a process writes, for its failures.
type logFile struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// freePort gives a port that nobody listens on, from below those that the system gives to
// connections, one of which could take it before it is listened on.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		port := strconv.Itoa(12000 + rand.IntN(20000))
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
}

// start runs the server on models and waits until it is ready.
func start(t *testing.T, models, host string, args ...string) *process {
	t.Helper()
	p := &process{http: net.JoinHostPort(host, freePort(t)), grpc: net.JoinHostPort(host, freePort(t)), log: &logFile{}}
	args = append([]string{"serve", "--models", models, "--http", p.http, "--grpc", p.grpc, "--metrics", "off"}, args...)
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), "E2E_MAIN=1")
	p.cmd.Stderr, p.cmd.Stdout = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if t.Failed() {
			s := p.log.String()
			t.Logf("the server's log:\n%s", s[max(0, len(s)-8000):])
		}
	})
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(p.url("/v2/health/ready"))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
		if time.Now().After(until) {
			t.Fatalf("the server is not ready after a minute: %v", err)
		}
	}
}

func (p *process) url(path string) string {
	_, port, _ := net.SplitHostPort(p.http)
	return "http://127.0.0.1:" + port + path
}

func (p *process) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(p.url(""), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// stop sends SIGTERM and gives the exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// post sends a request that must be answered, whatever the status.
func post(t *testing.T, url, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// protocolTypes are the protocol's names of the zoo's element types.
var protocolTypes = map[tensor.DType]client.DType{
	tensor.Float32: client.FP32, tensor.Float64: client.FP64, tensor.Int64: client.INT64, tensor.Int32: client.INT32,
	tensor.Uint8: client.UINT8, tensor.Int8: client.INT8, tensor.Bool: client.BOOL, tensor.Float16: client.FP16,
}

// named are the tensors of a data set, in order of the files.
type named struct {
	name string
	*tensor.Tensor
}

func readSet(t *testing.T, dir, kind string) (out []named) {
	t.Helper()
	for k := 0; ; k++ {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%s_%d.pb", kind, k)))
		if err != nil {
			return out
		}
		name, x, err := onnx.ReadTensor(b)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, named{name, x})
	}
}

// agree compares an answer's bytes with the reference.
func agree(want *tensor.Tensor, d string, shape []int, data []byte, rtol, atol float64) error {
	if string(protocolTypes[want.DType]) != d || !want.Shape.Equal(shape) {
		return fmt.Errorf("got %s%v, want %v", d, shape, want)
	}
	got, err := tensor.FromBytes(want.DType, want.Shape, data)
	if err != nil {
		return err
	}
	a, err := tensor.Float64s(got)
	if err != nil {
		return err
	}
	b, err := tensor.Float64s(want)
	if err != nil {
		return err
	}
	for i, w := range b {
		if !(math.Abs(a[i]-w) <= atol+rtol*math.Abs(w)) {
			return fmt.Errorf("element %d: got %v, want %v", i, a[i], w)
		}
	}
	return nil
}

// TestE2EZoo sends the reference inputs of the zoo's models through HTTP and gRPC.
func TestE2EZoo(t *testing.T) {
	zoo := os.Getenv("AIMASS_ZOO")
	if zoo == "" {
		zoo = "../../build/zoo"
	}
	files, _ := filepath.Glob(filepath.Join(zoo, "*", "model.onnx"))
	if len(files) == 0 {
		t.Skip("NOT RUN: there is no zoo (make zoo)")
	}
	models, names := t.TempDir(), []string{}
	for _, f := range files {
		f, err := filepath.Abs(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(filepath.Dir(f))
		names = append(names, name)
		if err := os.MkdirAll(filepath.Join(models, name, "1"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(f, filepath.Join(models, name, "1", "model.onnx")); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, models, "127.0.0.1")
	c := p.client(t)
	conn, err := grpc.NewClient(p.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	g := pb.NewGRPCInferenceServiceClient(conn)
	for _, name := range names {
		dir := filepath.Join(zoo, name)
		tol := struct{ RTol, ATol float64 }{1e-3, 1e-7}
		if b, err := os.ReadFile(filepath.Join(dir, "tolerance.json")); err == nil {
			if err := json.Unmarshal(b, &tol); err != nil {
				t.Fatal(err)
			}
		}
		sets, _ := filepath.Glob(filepath.Join(dir, "test_data_set_*"))
		if len(sets) == 0 {
			t.Errorf("%s: no reference data", name)
		}
		for _, set := range sets {
			in, want := readSet(t, set, "input"), readSet(t, set, "output")
			if err := askHTTP(c, name, in, want, tol.RTol, tol.ATol); err != nil {
				t.Errorf("%s %s over HTTP: %v", name, filepath.Base(set), err)
			}
			if err := askGRPC(g, name, in, want, tol.RTol, tol.ATol); err != nil {
				t.Errorf("%s %s over gRPC: %v", name, filepath.Base(set), err)
			}
		}
	}
	if code := p.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func askHTTP(c *client.Client, model string, in, want []named, rtol, atol float64) error {
	q := &client.Request{Model: model}
	for _, x := range in {
		q.Inputs = append(q.Inputs, client.Raw(x.name, protocolTypes[x.DType], x.Shape, x.Bytes()))
	}
	r, err := c.Infer(context.Background(), q)
	if err != nil {
		return err
	}
	for _, w := range want {
		y := r.Output(w.name)
		if y == nil {
			return fmt.Errorf("output %q is missing", w.name)
		}
		if err := agree(w.Tensor, string(y.DType), y.Shape, y.Bytes(), rtol, atol); err != nil {
			return fmt.Errorf("output %q: %w", w.name, err)
		}
	}
	return nil
}

func askGRPC(g pb.GRPCInferenceServiceClient, model string, in, want []named, rtol, atol float64) error {
	q := &pb.ModelInferRequest{ModelName: model}
	for _, x := range in {
		shape := []int64{}
		for _, d := range x.Shape {
			shape = append(shape, int64(d))
		}
		q.Inputs = append(q.Inputs, &pb.ModelInferRequest_InferInputTensor{Name: x.name, Datatype: string(protocolTypes[x.DType]), Shape: shape})
		q.RawInputContents = append(q.RawInputContents, x.Bytes())
	}
	r, err := g.ModelInfer(context.Background(), q)
	if err != nil {
		return err
	}
	for _, w := range want {
		found := false
		for k, y := range r.Outputs {
			if y.Name != w.name {
				continue
			}
			found = true
			shape := []int{}
			for _, d := range y.Shape {
				shape = append(shape, int(d))
			}
			if err := agree(w.Tensor, y.Datatype, shape, r.RawOutputContents[k], rtol, atol); err != nil {
				return fmt.Errorf("output %q: %w", w.name, err)
			}
		}
		if !found {
			return fmt.Errorf("output %q is missing", w.name)
		}
	}
	return nil
}
