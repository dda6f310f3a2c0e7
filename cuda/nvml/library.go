//go:build cuda && cgo && linux

package nvml

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "native.h"
import "C"

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// Library is the opened management library.
type Library struct{ native *C.aimass_nvml }

// Open opens and initialises the library.
func Open() (*Library, error) {
	path := C.CString(cmp.Or(os.Getenv("AIMASS_NVML_LIBRARY"), "libnvidia-ml.so.1"))
	defer C.free(unsafe.Pointer(path))
	l := &Library{}
	switch r := C.aimass_nvml_open(path, &l.native); r {
	case 0:
		return l, nil
	case C.AIMASS_NVML_NO_LIBRARY:
		return nil, ErrNoLibrary
	default:
		defer C.aimass_nvml_close(l.native)
		return nil, fmt.Errorf("NVML: %w", l.failure(r))
	}
}

// Close ends the use of the library. Nothing may be asked afterwards.
func (l *Library) Close() error {
	if r := C.aimass_nvml_close(l.native); r != 0 {
		return fmt.Errorf("NVML: shutting down: code %d", r)
	}
	return nil
}

func (l *Library) failure(r C.int) error {
	return errors.New(C.GoString(C.aimass_nvml_error(l.native, r)))
}

// Driver is the driver's version: "580.65.06".
func (l *Library) Driver() string {
	var version [96]C.char
	if C.aimass_nvml_driver(l.native, &version[0]) != 0 {
		return ""
	}
	return C.GoString(&version[0])
}

// GPUs asks every device for its state. One that is lost is in the list with the reason.
func (l *Library) GPUs() ([]GPU, error) {
	var n C.uint32_t
	if r := C.aimass_nvml_count(l.native, &n); r != 0 {
		return nil, fmt.Errorf("NVML: counting devices: %w", l.failure(r))
	}
	var list []GPU
	for i := range n {
		list = append(list, l.gpu(i))
	}
	for i := range list {
		for k := range list {
			if i != k && list[i].Lost == "" && list[k].Lost == "" {
				list[i].Peers = append(list[i].Peers, l.peer(i, k, list[k].UUID))
			}
		}
	}
	return list, nil
}

func (l *Library) gpu(i C.uint32_t) GPU {
	var c C.aimass_gpu
	lost := ""
	if r := C.aimass_nvml_gpu(l.native, i, &c); r != 0 {
		lost = l.failure(r).Error()
	}
	g := GPU{
		Index: int(i), UUID: C.GoString(&c.uuid[0]), Name: C.GoString(&c.name[0]), PCI: C.GoString(&c.pci[0]), Lost: lost,
		Total: int64(c.total), Used: int64(c.used), Utilization: int(c.utilization), Temperature: int(c.temperature),
		Power: thousandths(c.power), PowerLimit: thousandths(c.limit), Energy: thousandths(c.energy), ECC: int64(c.ecc), MIG: c.mig != 0,
	}
	for k := range c.instances {
		var uuid [96]C.char
		if C.aimass_nvml_instance(l.native, i, k, &uuid[0]) == 0 {
			g.Instances = append(g.Instances, C.GoString(&uuid[0]))
		}
	}
	return g
}

// thousandths turns mW and mJ to W and J, and leaves −1.
func thousandths(v C.int64_t) float64 {
	if v < 0 {
		return -1
	}
	return float64(v) / 1e3
}

// ways names the common ancestors of nvml.h's nvmlGpuTopologyLevel_t.
var ways = map[C.int]string{0: "one board", 10: "one PCI switch", 20: "several PCI switches", 30: "one host bridge", 40: "one NUMA node", 50: "across NUMA nodes"}

func (l *Library) peer(i, k int, uuid string) Peer {
	access, ancestor := C.int(0), C.int(-1)
	C.aimass_nvml_peer(l.native, C.uint32_t(i), C.uint32_t(k), &access, &ancestor)
	return Peer{UUID: uuid, Access: access != 0, Way: cmp.Or(ways[ancestor], "unknown")}
}

// Watch gives critical XIDs to f until ctx is done. Devices that can't report are left out.
func (l *Library) Watch(ctx context.Context, f func(Event)) error {
	var set unsafe.Pointer
	var devices C.uint32_t
	if r := C.aimass_nvml_watch(l.native, &set, &devices); r != 0 {
		return fmt.Errorf("NVML: asking for events: %w", l.failure(r))
	}
	defer C.aimass_nvml_unwatch(l.native, set)
	if devices == 0 {
		return errors.New("NVML: no device reports events")
	}
	for ctx.Err() == nil {
		var uuid [96]C.char
		var xid C.uint64_t
		switch r := C.aimass_nvml_wait(l.native, set, 250, &uuid[0], &xid); r {
		case 0:
			f(Event{UUID: C.GoString(&uuid[0]), XID: uint64(xid)})
		case C.AIMASS_NVML_TIMEOUT:
		default:
			return fmt.Errorf("NVML: waiting for events: %w", l.failure(r))
		}
	}
	return nil
}
