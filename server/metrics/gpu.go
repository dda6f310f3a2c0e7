package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aimass/aimass/cuda/nvml"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/server/service"
)

// GPUs gives the collector what there is to know of GPUs. Each field may be nil.
type GPUs struct {
	Device *gpu.Device
	// Health asks every device of the machine.
	Health func() ([]nvml.GPU, error)
}

// Brief tells of the devices in short, for the dashboard.
func (g *GPUs) Brief() []service.DashboardGPU {
	var out []service.DashboardGPU
	at := map[string]int{}
	if g.Device != nil {
		for _, x := range g.Device.GPUs() {
			at[x.UUID] = len(out)
			out = append(out, service.DashboardGPU{UUID: x.UUID, Name: x.String(), Lost: x.Lost, Used: int64(x.Bytes), Total: -1, Utilization: -1, Temperature: -1})
		}
	}
	if g.Health == nil {
		return out
	}
	list, err := g.Health()
	if err != nil {
		return out
	}
	for _, x := range list {
		if i, ok := at[x.UUID]; ok && x.Lost == "" {
			out[i].Used, out[i].Total, out[i].Utilization, out[i].Temperature = int64(x.Used), int64(x.Total), float64(x.Utilization), float64(x.Temperature)
		}
	}
	return out
}

var (
	gpuTaken     = desc("aimass_gpu_taken_bytes", "Device memory that models take.", "uuid", "device")
	gpuUp        = desc("aimass_gpu_up", "1 if the device serves, 0 if it was taken out.", "uuid", "device")
	gpuRetries   = desc("aimass_gpu_retries_total", "Batches that were run again after a device had failed.")
	gpuFallbacks = desc("aimass_gpu_fallbacks_total", "Batches of models on GPUs that the CPU ran instead.")
	gpuLost      = desc("aimass_gpu_lost_total", "Devices that were taken out.")
	gpuTemp      = desc("aimass_gpu_temperature_celsius", "Temperature of the device.", "uuid")
	gpuECC       = desc("aimass_gpu_ecc_uncorrected_total", "Memory errors that could not be corrected.", "uuid")

	// The names that Triton Inference Server gives, with its label.
	nvUtilization = desc("nv_gpu_utilization", "GPU utilization rate [0.0 - 1.0)", "gpu_uuid")
	nvTotal       = desc("nv_gpu_memory_total_bytes", "GPU total memory, in bytes", "gpu_uuid")
	nvUsed        = desc("nv_gpu_memory_used_bytes", "GPU used memory, in bytes", "gpu_uuid")
	nvPower       = desc("nv_gpu_power_usage", "GPU power usage in watts", "gpu_uuid")
	nvPowerLimit  = desc("nv_gpu_power_limit", "GPU power management limit in watts", "gpu_uuid")
	nvEnergy      = desc("nv_energy_consumption", "GPU energy consumption in joules since the Triton Server started", "gpu_uuid")
)

// collect reads everything about GPUs.
func (g *GPUs) collect(out chan<- prometheus.Metric, triton bool) {
	put := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		if v >= 0 { // −1: the device does not say
			out <- prometheus.MustNewConstMetric(d, t, v, labels...)
		}
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	if g.Device != nil {
		for _, x := range g.Device.GPUs() {
			up := 1.0
			if x.Lost != "" {
				up = 0
			}
			put(gpuUp, gauge, up, x.UUID, x.String())
			put(gpuTaken, gauge, float64(x.Bytes), x.UUID, x.String())
		}
		s := g.Device.Stats()
		put(gpuRetries, counter, float64(s.Retries))
		put(gpuFallbacks, counter, float64(s.Fallbacks))
		put(gpuLost, counter, float64(s.Lost))
	}
	if g.Health == nil {
		return
	}
	list, err := g.Health()
	if err != nil {
		return // the scrape lacks the figures, which shows
	}
	for _, x := range list {
		if x.Lost != "" {
			continue
		}
		put(gpuTemp, gauge, float64(x.Temperature), x.UUID)
		put(gpuECC, counter, float64(x.ECC), x.UUID)
		if triton {
			put(nvUtilization, gauge, float64(x.Utilization)/100, x.UUID)
			put(nvTotal, gauge, float64(x.Total), x.UUID)
			put(nvUsed, gauge, float64(x.Used), x.UUID)
			put(nvPower, gauge, x.Power, x.UUID)
			put(nvPowerLimit, gauge, x.PowerLimit, x.UUID)
			put(nvEnergy, counter, x.Energy, x.UUID)
		}
	}
}
