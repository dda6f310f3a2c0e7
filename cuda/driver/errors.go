package driver

import (
	"errors"
	"fmt"
)

// What Open finds missing.
var (
	// ErrNoCUDA: the binary was built without the tag cuda.
	ErrNoCUDA = errors.New("this binary was built without CUDA: build it with make build on a machine with a C compiler")
	// ErrNoDriver: no driver library could be opened.
	ErrNoDriver = errors.New("no CUDA driver: install NVIDIA's driver, or in a container run with the NVIDIA runtime")
	// ErrDriverFailed: there is a driver, and cuInit fails.
	ErrDriverFailed = errors.New("the CUDA driver does not start")
	// ErrNoDevice: there is a driver, but no GPU that it offers.
	ErrNoDevice = errors.New("the CUDA driver offers no device: look at nvidia-smi, CUDA_VISIBLE_DEVICES and the container's device list")
	// ErrDriverTooOld: the driver offers less than MinVersion.
	ErrDriverTooOld = errors.New("the CUDA driver is too old")
	// ErrKernelsRefused: the driver's compiler does not take the PTX that this binary holds.
	ErrKernelsRefused = errors.New("the CUDA driver refuses the kernels")
)

// MinVersion is the oldest CUDA version a driver must offer, as cuDriverGetVersion counts
// (11040 is 11.4): that of the newest entry point that is called (cuda/driver/include's tests). The
// embedded PTX asks for less, ISA 7.0 of CUDA 11.0. A GPU that is newer than the driver needs a newer one.
const MinVersion = 11040

// MinSM is the oldest compute capability, major·10 + minor, that the PTX is made for.
const MinSM = 80

// Code is the driver's CUresult.
type Code int

// The codes that decide something here or in runtime/gpu.
const (
	InvalidValue    Code = 1
	OutOfMemory     Code = 2
	NoDevice        Code = 100
	InvalidContext  Code = 201
	NoBinaryForGPU  Code = 209
	ECC             Code = 214
	PeerUnsupported Code = 217
	InvalidPTX      Code = 218
	UnsupportedPTX  Code = 222
	NotFound        Code = 500
	IllegalAddress  Code = 700
	PeerAlreadyOn   Code = 704
	LaunchFailed    Code = 719
	NotSupported    Code = 801
	Unknown         Code = 999
)

var names = map[Code]string{
	InvalidValue: "invalid value", OutOfMemory: "out of memory", 3: "not initialized", 4: "deinitialized", 46: "device unavailable",
	NoDevice: "no device", 101: "invalid device", 200: "invalid image", InvalidContext: "invalid context", NoBinaryForGPU: "no binary for this GPU",
	ECC: "uncorrectable ECC error", PeerUnsupported: "peer access unsupported", InvalidPTX: "invalid PTX", 220: "uncorrectable NVLink error",
	221: "JIT compiler not found", UnsupportedPTX: "unsupported PTX version", 223: "JIT compilation is switched off", 400: "invalid handle", 401: "illegal state",
	NotFound: "not found", 600: "not ready",
	IllegalAddress: "illegal address", 701: "launch out of resources", 702: "launch timeout", PeerAlreadyOn: "peer access already enabled",
	705: "peer access not enabled",
	709: "context is destroyed", 710: "assertion in a kernel", 714: "hardware stack error", 715: "illegal instruction", 716: "misaligned address",
	717: "invalid address space", 718: "invalid program counter", LaunchFailed: "launch failed", 800: "not permitted", NotSupported: "not supported",
	802: "system not ready",
	803: "driver and library mismatch", 804: "not compatible with this device", 900: "stream capture unsupported", 901: "stream capture invalidated",
	Unknown: "unknown error",
}

// String is the code's meaning and number.
func (c Code) String() string {
	if n, ok := names[c]; ok {
		return fmt.Sprintf("%s (%d)", n, int(c))
	}
	return fmt.Sprintf("CUDA error %d", int(c))
}

// Refusal reports a code that says that PTX can't be made into code for the device.
func (c Code) Refusal() bool {
	switch c {
	case 200, NoBinaryForGPU, InvalidPTX, 221, UnsupportedPTX, 223:
		return true
	}
	return false
}

// advice says what to do about a driver that does not start.
func (c Code) advice() string {
	switch c {
	case 34:
		return "the library is the toolkit's stub: take its folder off the library path"
	case 802:
		return "start NVIDIA's fabric manager, or wait until it has started"
	case 803:
		return "the kernel's module and the library are of different releases: restart the machine after an update; a container needs the host's library " +
			"(the NVIDIA runtime)"
	case 804:
		return "the driver is too old for the compatibility library on the path: update it, or take the library off the path"
	}
	return "look at nvidia-smi and at the kernel's log"
}

// Sticky reports a code after which every call on the context fails: only a new context,
// and sometimes only a new process, helps.
func (c Code) Sticky() bool {
	switch c {
	case 46, ECC, 220, IllegalAddress, 702, 709, 710, 714, 715, 716, 717, 718, LaunchFailed, Unknown, 4:
		return true
	}
	return false
}

// Error is a failed driver call.
type Error struct {
	Code   Code
	Op     string // what was being done: "launch gemm.gemm_f32"
	Device string // "cuda:0"
	Detail string // the JIT compiler's log, sizes; may be empty
}

// Error names the device, what was done and what came back.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s: %v", e.Device, e.Op, e.Code)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Is makes errors.Is(err, OutOfMemory) work.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Error makes a Code a target for errors.Is.
func (c Code) Error() string { return c.String() }

// CodeOf is the driver's code in err's chain, 0 if there is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// Sticky reports an error after which the device's context is of no more use.
func Sticky(err error) bool { return CodeOf(err).Sticky() }

// Info describes a device.
type Info struct {
	Index  int    // the driver's ordinal
	Name   string // "NVIDIA H100 80GB HBM3"
	UUID   string // "GPU-…"; a MIG instance has its own
	PCI    string // bus id
	SM     int    // compute capability, major·10 + minor
	Memory int64  // bytes
	Cores  int    // multiprocessors
	Shared int    // bytes of shared memory that a block may opt into
	Pools  bool   // stream-ordered memory pools
}

// String names the device as the configuration does.
func (i Info) String() string { return fmt.Sprintf("cuda:%d", i.Index) }
