//go:build cuda && cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/client"
	"github.com/aimass/aimass/cuda/emulator"
)

// driverDouble builds the tests' double of the driver.
func driverDouble(t *testing.T) string {
	t.Helper()
	library, err := emulator.Build("")
	if errors.Is(err, emulator.ErrNoCompiler) {
		t.Skipf("NOT RUN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return library
}

// useDouble makes the driver's double the CUDA driver of processes that the test starts.
func useDouble(t *testing.T, c emulator.Config) *emulator.State {
	t.Helper()
	library := driverDouble(t)
	c.State = filepath.Join(t.TempDir(), "state")
	state, err := emulator.OpenState(c.State)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	for _, v := range c.Environ(library) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	return state
}

// TestE2EGPU runs the server's tests with two GPUs.
func TestE2EGPU(t *testing.T) {
	useDouble(t, emulator.Config{Devices: 2, Quiet: true})
	t.Run("switch", TestE2ESwitch)
	t.Run("admin", TestE2EAdmin)
	t.Run("bad models", TestE2EBadModels)
	t.Run("training", TestE2ETraining)
}

// get reads a page.
func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestE2EGPULost takes both devices out while clients ask: every request is answered.
func TestE2EGPULost(t *testing.T) {
	state := useDouble(t, emulator.Config{Devices: 2, Quiet: true})
	models := t.TempDir()
	writeModel(t, models, plus(3), "1")
	metrics := "127.0.0.1:" + freePort(t)
	p := start(t, models, "127.0.0.1", "--metrics", metrics, "--device", "cuda")
	c := p.client(t)
	ask := func() {
		r, err := c.Infer(context.Background(), &client.Request{Model: "plus", Inputs: []client.Tensor{client.Float32("x", []int{1, 2}, []float32{10, 20})}})
		if err != nil {
			t.Error(err)
			return
		}
		if y, err := r.Float32s("y"); err != nil || len(y) != 2 || y[0] != 13 || y[1] != 23 {
			t.Errorf("%v, %v", y, err)
		}
	}
	ask()
	page := get(t, "http://"+metrics+"/metrics")
	for _, want := range []string{"nv_gpu_memory_total_bytes{", "nv_gpu_utilization{", "nv_gpu_power_usage{", "aimass_gpu_taken_bytes{",
		"aimass_gpu_fallbacks_total 0", "aimass_gpu_lost_total 0"} {
		if !strings.Contains(page, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for device := range 2 {
		if device == 0 {
			state.Set("FAIL=0:sync:1:700")
		} else {
			state.Set("NVML_XID=1:79")
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					ask()
				}
			})
		}
		wg.Wait()
	}
	for range 100 {
		if page = get(t, "http://"+metrics+"/metrics"); strings.Contains(page, "aimass_gpu_lost_total 2") {
			break
		}
		ask()
	}
	ask()
	if page = get(t, "http://"+metrics+"/metrics"); !strings.Contains(page, "aimass_gpu_lost_total 2") || strings.Contains(page, "aimass_gpu_fallbacks_total 0") {
		t.Errorf("the losses don't show:\n%s", grep(page, "aimass_gpu"))
	}
	if s := p.log.String(); !strings.Contains(s, "GPU taken out") || !strings.Contains(s, "XID 79") {
		t.Error("the losses are not logged")
	}
}

func grep(text, word string) string {
	var out []string
	for _, l := range strings.Split(text, "\n") {
		if strings.Contains(l, word) {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// TestE2EGPUMiniLM serves the real model on two devices in every layout.
func TestE2EGPUMiniLM(t *testing.T) {
	zoo := os.Getenv("AIMASS_ZOO")
	if zoo == "" {
		zoo = "../../build/zoo"
	}
	dir, err := filepath.Abs(filepath.Join(zoo, "all-minilm-l6-v2"))
	if err != nil {
		t.Fatal(err)
	}
	set := filepath.Join(dir, "test_data_set_0")
	if _, err := os.Stat(set); err != nil {
		t.Skip("NOT RUN: there is no MiniLM with data (make zoo)")
	}
	in, want := readSet(t, set, "input"), readSet(t, set, "output")
	useDouble(t, emulator.Config{Devices: 2, Quiet: true})
	for _, layout := range []string{"whole", "stages", "split"} {
		models := t.TempDir()
		if err := os.MkdirAll(filepath.Join(models, "minilm", "1"), 0o755); err != nil {
			t.Fatal(err)
		}
		config := fmt.Sprintf("parameters [ { key: %q value { string_value: %q } }, { key: %q value { string_value: %q } } ]", "gpu_layout", layout,
			"gpu_cpu_fallback", "false")
		if err := os.WriteFile(filepath.Join(models, "minilm", "config.pbtxt"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(dir, "model.onnx"), filepath.Join(models, "minilm", "1", "model.onnx")); err != nil {
			t.Fatal(err)
		}
		p := start(t, models, "127.0.0.1", "--device", "cuda", "--no-warmup")
		if err := askHTTP(p.client(t), "minilm", in, want, 1e-3, 1e-4); err != nil {
			t.Errorf("%s: %v", layout, err)
		}
		if code := p.stop(t); code != 0 {
			t.Errorf("%s: exit code %d", layout, code)
		}
	}
}

// TestE2EGPUMissing starts servers that ask for what is not there.
func TestE2EGPUMissing(t *testing.T) {
	library := driverDouble(t)
	models := t.TempDir()
	writeModel(t, models, plus(1), "1")
	for name, x := range map[string]struct {
		env  []string
		args []string
		want []string
	}{
		"no driver": {[]string{"AIMASS_CUDA_LIBRARY=/nonexistent/libcuda.so.1"}, []string{"--device", "cuda"},
			[]string{"no CUDA driver", "/nonexistent/libcuda.so.1", "gpu_no_driver"}},
		"no device": {emulator.Config{NoDevices: true}.Environ(library), []string{"--device", "cuda"}, []string{"offers no device", "CUDA_VISIBLE_DEVICES",
			"gpu_no_device"}},
		"a divided device": {emulator.Config{NoDevices: true, Extra: []string{"NVML_DEVICES=1", "NVML_MIG=0", "NVML_INSTANCES=0"}}.Environ(library),
			[]string{"--device", "cuda"}, []string{"MIG mode and has no instance", "gpu_mig", "nvidia-smi mig -cgi"}},
		"too old a driver": {emulator.Config{Extra: []string{"DRIVER=11020"}}.Environ(library), []string{"--device", "cuda"}, []string{"too old", "11.2", "11.4",
			"update", "gpu_driver_too_old"}},
		"no such GPU": {emulator.Config{Devices: 2}.Environ(library), []string{"--gpus", "7", "--device", "cuda"},
			[]string{`no GPU "7"`, "0 (GPU-", "1 (GPU-", "gpu_not_found"}},
		"an old GPU": {emulator.Config{SM: []int{70}}.Environ(library), []string{"--device", "cuda"}, []string{"compute capability is too low", "7.0", "8.0",
			"gpu_no_device"}},
		"an old GPU named": {emulator.Config{Devices: 2, SM: []int{90, 70}}.Environ(library), []string{"--gpus", "0,1", "--device", "cuda"},
			[]string{"cuda:1", "7.0", "8.0", "gpu_too_old"}},
		"a driver that fails": {emulator.Config{Fail: "*:any:1:803:always"}.Environ(library), []string{"--device", "cuda"},
			[]string{"does not start", "803", "restart the machine", "gpu_driver_failed"}},
		"no such GPU, auto": {emulator.Config{Devices: 2}.Environ(library), []string{"--gpus", "GPU-00000000-0c0d-4e0f-8011-223344556600"},
			[]string{`no GPU "GPU-0000`, "1 (GPU-", "gpu_not_found"}},
		"no such device": {nil, []string{"--device", "gpu"}, []string{`"gpu"`, "auto, cpu or cuda"}},
		"a wrong XID":    {nil, []string{"--fatal-xids", "x"}, []string{`XID "x"`}},
	} {
		t.Run(name, func(t *testing.T) {
			out, code := runSelf(t, x.env, append([]string{"serve", "--models", models, "--http", "off", "--grpc", "off", "--metrics", "off"}, x.args...)...)
			if code == 0 {
				t.Errorf("it started")
			}
			for _, w := range x.want {
				if !strings.Contains(out, w) {
					t.Errorf("%q is not in %s", w, out)
				}
			}
		})
	}
}

// TestE2EGPUConfig loads a model whose configuration asks for a GPU that is not there, and
// one that may run on GPUs alone.
func TestE2EGPUConfig(t *testing.T) {
	useDouble(t, emulator.Config{Devices: 2, Quiet: true})
	models := t.TempDir()
	writeModel(t, models, plus(1), "1")
	p := start(t, models, "127.0.0.1", "--log-verbose", "1")
	c := p.client(t)
	load := func(config string) error {
		if err := os.WriteFile(filepath.Join(models, "plus", "config.pbtxt"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		return c.Load(context.Background(), "plus", nil)
	}
	for config, want := range map[string]string{
		"instance_group [ { kind: KIND_GPU gpus: [5] } ]":                          "no GPU 5: the server uses 2",
		`parameters { key: "gpu_width" value { string_value: "3" } }`:              "on 3 GPUs, and may use 2",
		`parameters { key: "gpu_layout" value { string_value: "diagonal" } }`:      "expected auto, whole, stages or split",
		`parameters { key: "gpu_width" value { string_value: "two" } }`:            "expected a number of devices",
		`parameters { key: "gpu_cpu_fallback" value { string_value: "perhaps" } }`: "expected true or false",
		`parameters { key: "gpu_tf32" value { string_value: "maybe" } }`:           "expected true or false",
		`parameters { key: "gpu_tf32" value { string_value: "true" } }`:            "",
		"instance_group [ { kind: KIND_GPU gpus: [1] count: 2 } ]":                 "",
		`parameters { key: "gpu_layout" value { string_value: "stages" } }`:        "",
		"instance_group [ { kind: KIND_CPU } ]":                                    "",
		`parameters { key: "gpu_cpu_fallback" value { string_value: "false" } }`:   "",
	} {
		err := load(config)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
}

// TestGPUDoctor looks at a machine with two unlike devices of which one is divided, and
// at one that has fallen off the bus.
func TestGPUDoctor(t *testing.T) {
	library := driverDouble(t)
	for _, x := range []struct {
		c    emulator.Config
		want []string
	}{
		{emulator.Config{Devices: 2, SM: []int{80, 90}, Extra: []string{"NVML_ECC=1:3"}}, []string{"CUDA 13.0 and 2 devices", "sm_80", "sm_90",
			"differ in compute capability", "3 memory errors", "peer access", "40 °C"}},
		{emulator.Config{Devices: 2, Extra: []string{"NVML_MIG=0"}}, []string{"MIG mode"}},
		{emulator.Config{Devices: 2, Extra: []string{"NVML_LOST=1"}}, []string{"needs a reset", "[gpu_lost]"}},
		{emulator.Config{NoDevices: true}, []string{"offers no device", "[gpu_no_device]", "CUDA_VISIBLE_DEVICES"}},
		{emulator.Config{NoDevices: true, Extra: []string{"NVML_DEVICES=1", "NVML_MIG=0", "NVML_INSTANCES=0"}}, []string{"MIG mode and has no instance",
			"[gpu_mig]"}},
		{emulator.Config{Extra: []string{"DRIVER=11020"}}, []string{"too old", "11.2", "11.4", "[gpu_driver_too_old]"}},
		{emulator.Config{Fail: "*:any:1:802:always"}, []string{"wrong  CUDA", "does not start", "fabric manager", "[gpu_driver_failed]"}},
		{emulator.Config{Fail: "*:module:1:222:always", Quiet: true}, []string{"wrong  cuda:0", "refuses the kernels", "[gpu_kernels_refused]",
			"Update NVIDIA's driver"}},
		{emulator.Config{Devices: 2, Fail: "1:context:1:46:always"}, []string{"computes, 4.3 GB free", "wrong  cuda:1", "device unavailable (46)", "[gpu_lost]"}},
		{emulator.Config{MemoryMiB: []int{64}}, []string{"note   cuda:0", "67.1 MB free", "nvidia-smi lists who holds the memory", "[gpu_out_of_memory]"}},
		{emulator.Config{Devices: 2, SM: []int{90, 70}}, []string{"sm_70", "[gpu_too_old]", "is not used"}},
	} {
		out, _ := runSelf(t, x.c.Environ(library), "doctor")
		for _, w := range x.want {
			if !strings.Contains(out, w) {
				t.Errorf("%+v: %q is not in\n%s", x.c, w, out)
			}
		}
	}
}

// TestGPUInspect explains how a model lies on two devices.
func TestGPUInspect(t *testing.T) {
	library := driverDouble(t)
	models := t.TempDir()
	writeModel(t, models, plus(1), "1")
	out, code := runSelf(t, emulator.Config{Devices: 2}.Environ(library), "inspect", "--devices", filepath.Join(models, "plus"))
	for _, w := range []string{"layout whole", "copies on cuda:0, cuda:1", "add", "there is room for"} {
		if code != 0 || !strings.Contains(out, w) {
			t.Errorf("%d: %q is not in\n%s", code, w, out)
		}
	}
}

// TestGPUInspectConfig explains what a configuration asks for.
func TestGPUInspectConfig(t *testing.T) {
	library := driverDouble(t)
	models := t.TempDir()
	writeModel(t, models, plus(1), "1")
	for text, want := range map[string]string{
		`parameters { key: "gpu_layout" value { string_value: "stages" } }`:   "layout stages (asked for",
		"instance_group [ { kind: KIND_GPU gpus: [1] } ]":                     "copies on cuda:1",
		"instance_group [ { kind: KIND_CPU } ]":                               "keeps the model on the CPU",
		`parameters { key: "gpu_layout" value { string_value: "diagonal" } }`: "expected auto, whole, stages or split",
		"instance_group [ { kind: KIND_GPU gpus: [5] } ]":                     "no GPU 5: the server uses 2",
	} {
		if err := os.WriteFile(filepath.Join(models, "plus", "config.pbtxt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, _ := runSelf(t, emulator.Config{Devices: 2}.Environ(library), "inspect", "--devices", filepath.Join(models, "plus")); !strings.Contains(out, want) {
			t.Errorf("%s: %q is not in\n%s", text, want, out)
		}
	}
}

// TestE2EGPURefused loads a model that the CPU may not help, on a device that refuses the kernels.
func TestE2EGPURefused(t *testing.T) {
	useDouble(t, emulator.Config{Quiet: true, Fail: "*:module:1:222:always"})
	models := t.TempDir()
	writeModel(t, models, plus(1), "1")
	p := start(t, models, "127.0.0.1")
	if r, err := p.client(t).Infer(context.Background(),
		&client.Request{Model: "plus", Inputs: []client.Tensor{client.Float32("x", []int{1, 2}, []float32{10, 20})}}); err != nil {
		t.Errorf("with the CPU's help: %v", err)
	} else if y, err := r.Float32s("y"); err != nil || y[0] != 11 {
		t.Errorf("with the CPU's help: %v, %v", y, err)
	}
	if s := p.log.String(); !strings.Contains(s, "a model runs on the CPU") || !strings.Contains(s, "gpu_kernels_refused") {
		t.Errorf("the log does not say that the CPU serves:\n%s", s)
	}
	p.stop(t)
	models = t.TempDir()
	p = start(t, models, "127.0.0.1")
	writeModel(t, models, plus(1), "1")
	if err := os.WriteFile(filepath.Join(models, "plus", "config.pbtxt"), []byte(`parameters { key: "gpu_cpu_fallback" value { string_value: "false" } }`),
		0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.client(t).Load(context.Background(), "plus", nil); api.CodeOf(err) != api.CodeGPUKernelsRefused ||
		!strings.Contains(err.Error(), "unsupported PTX version (222)") {
		t.Errorf("without the CPU's help the load gives %v", err)
	}
}

// runSelf runs aimass in a process of its own and gives what it prints.
func runSelf(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), "E2E_MAIN=1"), env...)
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(fmt.Errorf("%v: %w", args, err))
	}
	return string(b), cmd.ProcessState.ExitCode()
}
