//go:build cuda && cgo && linux

package nvml

import (
	"context"
	"errors"
	"fmt"
	"os"

	api "github.com/NVIDIA/go-nvml/pkg/nvml"
)

// Library is the opened management library.
type Library struct{ api api.Interface }

// Open opens and initialises the library.
func Open() (*Library, error) {
	var options []api.LibraryOption
	if path := os.Getenv("AIMASS_NVML_LIBRARY"); path != "" {
		options = append(options, api.WithLibraryPath(path))
	}
	l := &Library{api.New(options...)}
	switch r := l.api.Init(); r {
	case api.SUCCESS:
		return l, nil
	case api.ERROR_LIBRARY_NOT_FOUND:
		return nil, ErrNoLibrary
	default:
		return nil, fmt.Errorf("NVML: %w", l.failure(r))
	}
}

// Close ends the use of the library.
func (l *Library) Close() error { return l.failure(l.api.Shutdown()) }

func (l *Library) failure(r api.Return) error {
	if r == api.SUCCESS {
		return nil
	}
	return errors.New(l.api.ErrorString(r))
}

// Driver is the driver's version: "580.65.06".
func (l *Library) Driver() string {
	v, r := l.api.SystemGetDriverVersion()
	if r != api.SUCCESS {
		return ""
	}
	return v
}

// GPUs asks every device for its state. One that is lost is in the list with the reason.
func (l *Library) GPUs() ([]GPU, error) {
	n, r := l.api.DeviceGetCount()
	if r != api.SUCCESS {
		return nil, fmt.Errorf("NVML: counting devices: %w", l.failure(r))
	}
	var list []GPU
	var devices []api.Device
	for i := range n {
		d, r := l.api.DeviceGetHandleByIndex(i)
		if r != api.SUCCESS {
			list, devices = append(list, GPU{Index: i, Lost: l.api.ErrorString(r)}), append(devices, nil)
			continue
		}
		list, devices = append(list, l.state(i, d)), append(devices, d)
	}
	for i, d := range devices {
		for k, other := range devices {
			if i != k && d != nil && other != nil && list[i].Lost == "" && list[k].Lost == "" {
				list[i].Peers = append(list[i].Peers, l.peer(d, other, list[k].UUID))
			}
		}
	}
	return list, nil
}

func (l *Library) state(i int, d api.Device) GPU {
	g := GPU{Index: i, Total: -1, Used: -1, Utilization: -1, Temperature: -1, Power: -1, PowerLimit: -1, Energy: -1, ECC: -1}
	uuid, r := d.GetUUID()
	if r != api.SUCCESS {
		g.Lost = l.api.ErrorString(r)
		return g
	}
	g.UUID = uuid
	if v, r := d.GetName(); r == api.SUCCESS {
		g.Name = v
	}
	if v, r := d.GetPciInfo(); r == api.SUCCESS {
		for _, c := range v.BusId {
			if c == 0 {
				break
			}
			g.PCI += string(rune(byte(c)))
		}
	}
	if v, r := d.GetMemoryInfo(); r == api.SUCCESS {
		g.Total, g.Used = int64(v.Total), int64(v.Used)
	}
	if v, r := d.GetUtilizationRates(); r == api.SUCCESS {
		g.Utilization = int(v.Gpu)
	}
	if v, r := d.GetTemperature(api.TEMPERATURE_GPU); r == api.SUCCESS {
		g.Temperature = int(v)
	}
	if v, r := d.GetPowerUsage(); r == api.SUCCESS {
		g.Power = float64(v) / 1e3
	}
	if v, r := d.GetEnforcedPowerLimit(); r == api.SUCCESS {
		g.PowerLimit = float64(v) / 1e3
	}
	if v, r := d.GetTotalEnergyConsumption(); r == api.SUCCESS {
		g.Energy = float64(v) / 1e3
	}
	if v, r := d.GetTotalEccErrors(api.MEMORY_ERROR_TYPE_UNCORRECTED, api.AGGREGATE_ECC); r == api.SUCCESS {
		g.ECC = int64(v)
	}
	if now, _, r := d.GetMigMode(); r == api.SUCCESS && now == api.DEVICE_MIG_ENABLE {
		g.MIG = true
		most, _ := d.GetMaxMigDeviceCount()
		for k := range most {
			if m, r := d.GetMigDeviceHandleByIndex(k); r == api.SUCCESS {
				if id, r := m.GetUUID(); r == api.SUCCESS {
					g.Instances = append(g.Instances, id)
				}
			}
		}
	}
	return g
}

var ways = map[api.GpuTopologyLevel]string{api.TOPOLOGY_INTERNAL: "one board", api.TOPOLOGY_SINGLE: "one PCI switch",
	api.TOPOLOGY_MULTIPLE:   "several PCI switches",
	api.TOPOLOGY_HOSTBRIDGE: "one host bridge", api.TOPOLOGY_NODE: "one NUMA node", api.TOPOLOGY_SYSTEM: "across NUMA nodes"}

func (l *Library) peer(d, other api.Device, uuid string) Peer {
	p := Peer{UUID: uuid, Way: "unknown"}
	if s, r := d.GetP2PStatus(other, api.P2P_CAPS_INDEX_READ); r == api.SUCCESS {
		p.Access = s == api.P2P_STATUS_OK
	}
	if level, r := d.GetTopologyCommonAncestor(other); r == api.SUCCESS && ways[level] != "" {
		p.Way = ways[level]
	}
	return p
}

// Watch gives critical XIDs to f until ctx is done. Devices that can't report are left out.
func (l *Library) Watch(ctx context.Context, f func(Event)) error {
	set, r := l.api.EventSetCreate()
	if r != api.SUCCESS {
		return fmt.Errorf("NVML: %w", l.failure(r))
	}
	defer set.Free()
	n, r := l.api.DeviceGetCount()
	if r != api.SUCCESS {
		return fmt.Errorf("NVML: counting devices: %w", l.failure(r))
	}
	watched := 0
	for i := range n {
		if d, r := l.api.DeviceGetHandleByIndex(i); r == api.SUCCESS && d.RegisterEvents(api.EventTypeXidCriticalError, set) == api.SUCCESS {
			watched++
		}
	}
	if watched == 0 {
		return errors.New("NVML: no device reports events")
	}
	for ctx.Err() == nil {
		e, r := set.Wait(250)
		switch {
		case r == api.ERROR_TIMEOUT:
		case r != api.SUCCESS:
			return fmt.Errorf("NVML: waiting for events: %w", l.failure(r))
		case e.EventType == api.EventTypeXidCriticalError:
			uuid, _ := e.Device.GetUUID()
			f(Event{UUID: uuid, XID: e.EventData})
		}
	}
	return nil
}
