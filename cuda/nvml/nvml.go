// Package nvml finds NVIDIA GPUs and watches their health through the driver's management
// library, which is opened as the process runs: $AIMASS_NVML_LIBRARY, else
// libnvidia-ml.so.1. Devices are keyed by UUID, since NVML counts them in another order than CUDA.
//
// Neighbours: cmd/aimass shows what is found, server/metrics its figures, runtime/gpu takes
// devices out on fatal events. cuda/emulator has a double of the library for tests.
//
// It is built with the tag cuda; without, Open returns ErrNotBuilt. A Library is safe for concurrent use; nothing that
// it returns is kept.
package nvml

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrNotBuilt: the binary was built without the tag cuda.
var ErrNotBuilt = errors.New("this binary was built without CUDA, so it can't ask NVML")

// ErrNoLibrary: the management library is not there, as on a machine without a driver.
var ErrNoLibrary = errors.New("no NVIDIA management library (libnvidia-ml.so.1)")

// GPU is the state of one device. Figures that the device does not give are −1.
type GPU struct {
	UUID        string  `json:"uuid"`
	Index       int     `json:"nvml_index"`
	Name        string  `json:"name"`
	PCI         string  `json:"pci"`
	Total       int64   `json:"memory_bytes"`
	Used        int64   `json:"memory_used_bytes"`
	Utilization int     `json:"utilization_percent"`
	Temperature int     `json:"temperature_celsius"`
	Power       float64 `json:"power_watts"`
	PowerLimit  float64 `json:"power_limit_watts"`
	Energy      float64 `json:"energy_joules"`
	ECC         int64   `json:"ecc_uncorrected"`
	// MIG says that the device is divided; Instances are then what CUDA sees instead.
	MIG       bool     `json:"mig"`
	Instances []string `json:"mig_instances,omitempty"`
	// Peers tells of each other device, by UUID, whether there is peer access, and how far it is.
	Peers []Peer `json:"peers,omitempty"`
	// Lost says why nothing could be asked: the device has fallen off the bus.
	Lost string `json:"lost,omitempty"`
}

// Peer is the way to another device.
type Peer struct {
	UUID   string `json:"uuid"`
	Access bool   `json:"access"`
	Way    string `json:"way"` // "one PCI switch"
}

// Event is an XID, an error that the driver reports of a device.
type Event struct {
	UUID string
	XID  uint64
}

// FatalXIDs are those after which a device is taken out, unless configured otherwise: memory
// errors that can't be corrected (48, 64, 94, 95), a GPU that has fallen off the bus (79), or needs
// a reset (62, 74, 109, 119, 120). Sources disagree on some (docs/gpu.md), hence the configuration.
func FatalXIDs() []uint64 { return []uint64{48, 62, 64, 74, 79, 94, 95, 109, 119, 120} }

// ParseXIDs reads a list like "48,79"; an empty one is FatalXIDs, "none" none.
func ParseXIDs(s string) ([]uint64, error) {
	switch s {
	case "":
		return FatalXIDs(), nil
	case "none":
		return nil, nil
	}
	var out []uint64
	for _, f := range strings.Split(s, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(f), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("XID %q is no number: expected a list such as 48,79", f)
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}
