package server

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/server/service"
	"github.com/aimass/aimass/server/shm"
)

// tritonShared drives a server through the shared memory utilities of Triton's client library, unmodified.
const tritonShared = `
import sys
import numpy as np
import tritonclient.http as http
import tritonclient.grpc as grpc
import tritonclient.utils.shared_memory as shm

for mod, url in ((http, sys.argv[1]), (grpc, sys.argv[2])):
    c = mod.InferenceServerClient(url)
    key = f'/{sys.argv[3]}_{mod.__name__.split(".")[1]}'
    size = 2 * 16 * 4
    inputs = shm.create_shared_memory_region('inputs', key + '_in', 2 * size)
    outputs = shm.create_shared_memory_region('outputs', key + '_out', 2 * size)
    try:
        c.register_system_shared_memory('inputs', key + '_in', 2 * size)
        c.register_system_shared_memory('outputs', key + '_out', 2 * size)
        status = c.get_system_shared_memory_status()
        names = {r['name'] for r in status} if mod is http else set(status.regions)
        assert names == {'inputs', 'outputs'}, status
        for turn in range(20):
            a = np.arange(32, dtype=np.int32).reshape(2, 16) + turn
            b = np.full((2, 16), 3 * turn, np.int32)
            shm.set_shared_memory_region(inputs, [a, b])
            ins = [mod.InferInput(f'INPUT{k}', [2, 16], 'INT32') for k in (0, 1)]
            outs = [mod.InferRequestedOutput(f'OUTPUT{k}') for k in (0, 1)]
            for k in (0, 1):
                ins[k].set_shared_memory('inputs', size, offset=k * size)
                outs[k].set_shared_memory('outputs', size, offset=k * size)
            r = c.infer('simple', ins, outputs=outs)
            for k, want in ((0, a + b), (1, a - b)):
                o = r.get_output(f'OUTPUT{k}')
                shape = o['shape'] if mod is http else list(o.shape)
                got = shm.get_contents_as_numpy(outputs, np.int32, shape, offset=k * size)
                assert (got == want).all(), (k, got, want)
        c.unregister_system_shared_memory('inputs')
        c.unregister_system_shared_memory()
        status = c.get_system_shared_memory_status()
        assert not (status if mod is http else status.regions), status
    finally:
        shm.destroy_shared_memory_region(inputs)
        shm.destroy_shared_memory_region(outputs)
print('good')
`

// TestTritonSharedMemory needs a Python with tritonclient: AIMASS_TRITON_PYTHON, or that of AIMASS_PEERS.
func TestTritonSharedMemory(t *testing.T) {
	python := os.Getenv("AIMASS_TRITON_PYTHON")
	if peers := os.Getenv("AIMASS_PEERS"); python == "" && peers != "" {
		python = filepath.Join(peers, "venvs", "triton", "bin", "python")
	}
	if python == "" || exec.Command(python, "-c", "import tritonclient.http, tritonclient.grpc, tritonclient.utils.shared_memory").Run() != nil {
		t.Skip("NOT RUN: no Python with tritonclient (AIMASS_TRITON_PYTHON, AIMASS_PEERS)")
	}
	s, _ := serve(t, Config{Service: service.Config{SharedMemory: shm.Config{Allow: true}}}, io.Discard)
	name := fmt.Sprintf("aimass_test_%d", os.Getpid())
	out, err := exec.Command(python, "-c", tritonShared, s.httpL.Addr().String(), s.grpcL.Addr().String(), name).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "good\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
