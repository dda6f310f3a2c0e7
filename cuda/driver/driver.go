//go:build cuda && cgo

package driver

// #include <stdlib.h>
// #include "native.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	cu "gorgonia.org/cu"
)

// Driver is the opened CUDA driver.
type Driver struct {
	version int
	devices []Info
}

// Open resolves the driver's library, initialises it and lists the devices. The error is
// ErrNoDriver, ErrDriverFailed, ErrNoDevice or ErrDriverTooOld with what was found.
func Open() (*Driver, error) {
	var why *C.char
	switch code := Code(C.aimass_driver_status(&why)); {
	case code == NoDevice && C.GoString(why) != "" && !hasDriver(C.GoString(why)):
		return nil, fmt.Errorf("%w: %s", ErrNoDriver, C.GoString(why))
	case code == NoDevice:
		return nil, ErrNoDevice
	case code != 0:
		return nil, fmt.Errorf("%w: cuInit: %v: %s", ErrDriverFailed, code, code.advice())
	}
	d := &Driver{version: cu.Version()}
	if d.version < MinVersion {
		return nil, fmt.Errorf("%w: it offers CUDA %s, this binary's kernels need %s: update NVIDIA's driver", ErrDriverTooOld, version(d.version),
			version(MinVersion))
	}
	n, err := cu.NumDevices()
	if err != nil {
		return nil, fmt.Errorf("counting devices: %w", typed(err, "count devices", "cuda"))
	}
	if n == 0 {
		return nil, ErrNoDevice
	}
	for i := range n {
		info, err := describe(i)
		if err != nil {
			return nil, err
		}
		d.devices = append(d.devices, info)
	}
	return d, nil
}

// hasDriver tells a library whose cuInit failed from a library that could not be opened.
func hasDriver(why string) bool {
	var code int
	for i := len(why) - 1; i >= 0; i-- {
		if _, err := fmt.Sscanf(why[i:], "cuInit returned %d", &code); err == nil {
			return true
		}
	}
	return false
}

func version(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// Version is the CUDA version that the driver offers: 13000 is 13.0.
func (d *Driver) Version() int { return d.version }

// Devices lists the devices in the driver's order.
func (d *Driver) Devices() []Info { return d.devices }

// maxSharedOptin is CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, poolsSupported
// CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED; cu has no names for them.
const (
	maxSharedOptin = cu.DeviceAttribute(97)
	poolsSupported = cu.DeviceAttribute(115)
)

func describe(i int) (Info, error) {
	info := Info{Index: i}
	dev, err := cu.GetDevice(i)
	if err != nil {
		return info, typed(err, "get device", info.String())
	}
	if info.Name, err = dev.Name(); err != nil {
		return info, typed(err, "get name", info.String())
	}
	id, err := dev.UUID()
	if err != nil {
		return info, typed(err, "get UUID", info.String())
	}
	info.UUID = "GPU-" + id.String()
	if info.Memory, err = dev.TotalMem(); err != nil {
		return info, typed(err, "get memory size", info.String())
	}
	var bus [32]C.char
	if C.aimass_bus_id(&bus[0], C.int(len(bus)), C.int(i)) == 0 {
		info.PCI = C.GoString(&bus[0])
	}
	var major, minor, pools int
	for attr, to := range map[cu.DeviceAttribute]*int{cu.ComputeCapabilityMajor: &major, cu.ComputeCapabilityMinor: &minor, cu.MultiprocessorCount: &info.Cores,
		maxSharedOptin: &info.Shared} {
		if *to, err = dev.Attribute(attr); err != nil {
			return info, typed(err, fmt.Sprintf("get attribute %d", attr), info.String())
		}
	}
	if pools, err = dev.Attribute(poolsSupported); err == nil {
		info.Pools = pools == 1
	}
	info.SM = major*10 + minor
	return info, nil
}

// typed makes an Error of what cu returns.
func typed(err error, op, device string) error {
	if err == nil {
		return nil
	}
	code := cu.Unknown
	if !errors.As(err, &code) {
		return fmt.Errorf("%s: %s: %w", device, op, err)
	}
	return &Error{Code: Code(code), Op: op, Device: device}
}

// check makes an Error of a CUresult of native.c.
func check(code C.int, op, device string) error {
	if code == 0 {
		return nil
	}
	return &Error{Code: Code(code), Op: op, Device: device}
}

// handle is the driver's pointer in one of cu's types, each of which is a struct of just
// that.
func handle[T cu.CUContext | cu.Module | cu.Function | cu.Stream | cu.Event](h T) unsafe.Pointer {
	return *(*unsafe.Pointer)(unsafe.Pointer(&h))
}
