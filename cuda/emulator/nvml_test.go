package emulator

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func (r *rig) text(name string, args ...uint64) string {
	r.t.Helper()
	p := r.mem(96)
	r.ok(name, append(args, p, 96)...)
	s, _, _ := bytes.Cut(r.read(p, 96), []byte{0})
	return string(s)
}

func (r *rig) device(i int) uint64 {
	r.t.Helper()
	p := r.mem(8)
	r.ok("nvmlDeviceGetHandleByIndex_v2", uint64(i), p)
	return r.word(p)
}

func TestNVML(t *testing.T) {
	r := process(t, "libnvidia-ml.so.1", Config{Devices: 3, MemoryMiB: []int{100, 50}, NoPeer: "0-1", Extra: []string{"NVML_ORDER=reverse", "NVML_ECC=1:7",
		"NVML_MIG=2"}})
	p := r.mem(64)
	r.want(1, "nvmlDeviceGetCount_v2", p)
	r.ok("nvmlInit_v2")
	r.ok("nvmlDeviceGetCount_v2", p)
	if r.int(p) != 3 {
		t.Fatalf("%d devices", r.int(p))
	}
	dev := map[int]uint64{2: r.device(0), 1: r.device(1), 0: r.device(2)} // by CUDA's number
	if got := r.text("nvmlDeviceGetUUID", dev[0]); got != "GPU-a13a55e0-0c0d-4e0f-8011-223344556600" {
		t.Errorf("UUID %s", got)
	}
	r.ok("nvmlDeviceGetMemoryInfo", dev[0], p)
	if got := r.word(p); got != 100<<20 {
		t.Errorf("total memory %d", got)
	}
	r.ok("nvmlDeviceGetTotalEccErrors", dev[1], 1, 0, p)
	if r.word(p) != 7 {
		t.Errorf("%d ECC errors", r.word(p))
	}
	r.ok("nvmlDeviceGetP2PStatus", dev[0], dev[1], 0, p)
	if r.int(p) != 1 {
		t.Error("0 and 1 are peers")
	}
	r.ok("nvmlDeviceGetMigDeviceHandleByIndex", dev[2], 1, p)
	if got := r.text("nvmlDeviceGetUUID", r.word(p)); got != "MIG-a13a55e0-0c0d-4e0f-8011-223344550202" {
		t.Errorf("MIG UUID %s", got)
	}
	r.want(6, "nvmlDeviceGetMigDeviceHandleByIndex", dev[0], 0, p)
	r.want(3, "nvmlDeviceGetFanSpeed", dev[0], p)

	r.ok("nvmlEventSetCreate", p)
	set := r.word(p)
	for _, d := range dev {
		r.ok("nvmlDeviceRegisterEvents", d, 8, set)
	}
	r.want(10, "nvmlEventSetWait_v2", set, p, 1)
	r.state.Set("NVML_XID=1:79", "NVML_LOST=1")
	r.ok("nvmlEventSetWait_v2", set, p, 1000)
	e := r.read(p, 32)
	if binary.LittleEndian.Uint64(e) != dev[1] || binary.LittleEndian.Uint64(e[16:]) != 79 {
		t.Errorf("event %x", e)
	}
	r.want(15, "nvmlDeviceGetTemperature", dev[1], 0, p)
	r.ok("nvmlDeviceGetTemperature", dev[0], 0, p)
	r.want(10, "nvmlEventSetWait_v2", set, p, 1)
	r.ok("nvmlShutdown")
	r.want(1, "nvmlShutdown")
}
