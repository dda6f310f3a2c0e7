package main

import (
	"fmt"
	"io"
	"math"
	"os"
	goruntime "runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/internal/child"
	"github.com/aimass/aimass/internal/machine"
	"github.com/aimass/aimass/kernels/isa"
)

// finding is one line of the doctor's.
type finding struct {
	What string `json:"what"`
	// Status is ok, note (works, could be better), or wrong.
	Status string `json:"status"`
	Found  string `json:"found"`
	Code   string `json:"code,omitempty"` // of the error table, where there is one
	Hint   string `json:"hint,omitempty"`
}

// binary is what the binary itself says, apart from the machine.
type binary struct {
	version, os, arch string
	cgo               bool
	features          isa.Features
	forced            string // AIMASS_ISA
	forceErr          error
	cpus, procs       int // that Go sees and uses
	procsForced       string
}

func thisBinary() binary {
	return binary{version: versionText(), os: goruntime.GOOS, arch: goruntime.GOARCH, cgo: builtWithCgo(), features: isa.Current(), forced: os.Getenv("AIMASS_ISA"),
		forceErr: isa.Check(), cpus: goruntime.NumCPU(), procs: goruntime.GOMAXPROCS(0), procsForced: os.Getenv("GOMAXPROCS")}
}

func newDoctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine: instruction sets, cores, memory, limits, GPUs, and what is wrong",
		Long: `Check what of this machine decides how fast and how well aimass serves. Each line is
ok, a note (it works and could be better) or wrong; the latter two come with a
hint. Exit status 1 if something is wrong.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			facts := machine.Read(os.DirFS("/"))
			list := append(append(diagnose(thisBinary(), facts), jobLimits(child.OpenGroups)), gpuFindings()...)
			wrong := 0
			for _, f := range list {
				if f.Status == "wrong" {
					wrong++
				}
			}
			if asJSON {
				err := writeJSON(cmd.OutOrStdout(), map[string]any{"findings": list, "machine": facts, "wrong": wrong})
				if err != nil {
					return err
				}
			} else {
				writeFindings(cmd.OutOrStdout(), list)
			}
			if wrong > 0 {
				return fmt.Errorf("%d of %d checks found something wrong", wrong, len(list))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func writeFindings(w io.Writer, list []finding) {
	for _, f := range list {
		code := ""
		if f.Code != "" {
			code = " [" + f.Code + "]"
		}
		fmt.Fprintf(w, "%-5s  %-13s %s%s\n", f.Status, f.What, f.Found, code)
		if f.Hint != "" {
			fmt.Fprintf(w, "       %-13s → %s\n", "", f.Hint)
		}
	}
}

// diagnose judges a binary on a machine.
func diagnose(b binary, f *machine.Facts) []finding {
	return []finding{
		{What: "binary", Status: "ok", Found: b.version},
		kernelOf(b, f), instructionSet(b, f), cores(b, f), memory(f), openFiles(f), hugePages(f), sharedMemory(f), gpus(f),
	}
}

func kernelOf(b binary, f *machine.Facts) finding {
	found := finding{What: "system", Status: "ok", Found: fmt.Sprintf("%s/%s, kernel %s", b.os, b.arch, orUnknown(f.Kernel))}
	if b.os != "linux" {
		found.Status, found.Hint = "note", "aimass is made for and measured on Linux; elsewhere most of what follows can't be read"
	}
	return found
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// instructionSet compares what the kernels use with what the processor has.
func instructionSet(b binary, f *machine.Facts) finding {
	have := []string{b.features.Level.String()}
	if b.features.VNNI {
		have = append(have, "VNNI")
	}
	if b.features.BF16 {
		have = append(have, "BF16")
	}
	r := finding{What: "instructions", Status: "ok", Found: strings.Join(have, ", ") + "; " + orUnknown(f.CPU)}
	fast := f.Flags["avx2"] && f.Flags["fma"]
	switch {
	case b.forceErr != nil:
		r.Status, r.Hint = "wrong", b.forceErr.Error()
	case b.forced != "":
		r.Found += ", forced by AIMASS_ISA=" + b.forced
		r.Status, r.Hint = "note", "unset AIMASS_ISA to use the best that the machine has"
	case b.features.Level == isa.Generic && !b.cgo:
		r.Status, r.Hint = "wrong", "the binary was built without cgo, so its kernels are plain Go: build it with a C compiler and CGO_ENABLED=1"
	case b.features.Level == isa.Generic && fast:
		r.Status, r.Hint = "wrong", "the processor has AVX2 and the binary does not use it: build it without the tag noasm"
	case b.features.Level == isa.Generic:
		r.Status, r.Hint = "note", "the processor lacks AVX2 and FMA, or hides them (a virtual machine's CPU model): kernels are plain Go"
	case b.features.Level == isa.AVX2 && f.Flags["avx512f"]:
		r.Status, r.Hint = "note", "the processor has AVX-512 F, but not BW, DQ and VL, which the kernels need"
	}
	return r
}

// cores compares processors, quota and Go's threads.
func cores(b binary, f *machine.Facts) finding {
	quota := "no quota"
	if f.Quota > 0 {
		quota = fmt.Sprintf("quota of %.4g", f.Quota)
	}
	r := finding{What: "cores", Status: "ok", Found: fmt.Sprintf("%d usable of %d, %s, GOMAXPROCS %d", b.cpus, max(f.Online, b.cpus), quota, b.procs)}
	limit := float64(b.cpus)
	if f.Quota > 0 {
		limit = min(limit, f.Quota)
	}
	// Go rounds a quota up, and uses two threads at least (runtime.GOMAXPROCS).
	fair := max(int(math.Ceil(limit)), min(2, b.cpus))
	switch {
	case f.Quota > 0 && f.Quota < 1:
		r.Status, r.Hint = "wrong", "with less than one core every request is throttled for parts of each 100 ms: give the container a CPU limit of 1 or more"
	case b.procs > fair:
		r.Status, r.Hint = "wrong", fmt.Sprintf("more threads than cores: requests wait for each other and the quota throttles; unset GOMAXPROCS (%q) or set it to %d", b.procsForced, fair)
	case b.procs < int(limit):
		r.Status, r.Hint = "note", fmt.Sprintf("cores lie idle: unset GOMAXPROCS (%q), or set it to %d", b.procsForced, int(limit))
	case f.Quota > 0 && f.Quota != math.Trunc(f.Quota):
		r.Status, r.Hint = "note", "a quota that is no whole number of cores throttles the last one: round it"
	}
	return r
}

// lowMemory is what a server with one middle-sized model takes.
const lowMemory = 1 << 30

func memory(f *machine.Facts) finding {
	r := finding{What: "memory", Status: "ok", Found: "unknown"}
	if f.Memory == 0 {
		return r
	}
	limit := "no limit"
	usable := f.MemoryAvailable
	if f.MemoryLimit > 0 {
		limit = "limit " + bytesText(f.MemoryLimit)
		usable = min(usable, f.MemoryLimit)
	}
	r.Found = fmt.Sprintf("%s, %s available, %s", bytesText(f.Memory), bytesText(f.MemoryAvailable), limit)
	if usable < lowMemory {
		r.Status, r.Hint = "note", "below "+bytesText(lowMemory)+" only small models fit; the kernel ends a process that goes beyond its limit"
	}
	return r
}

// fewFiles is too few descriptors for some thousand connections.
const fewFiles = 4096

func openFiles(f *machine.Facts) finding {
	r := finding{What: "open files", Status: "ok", Found: fmt.Sprintf("limit %s, may be raised to %s", count64(f.OpenFiles), count64(f.OpenFilesHard))}
	if f.OpenFiles == 0 {
		r.Found = "unknown"
		return r
	}
	if f.OpenFiles > 0 && f.OpenFiles < fewFiles {
		r.Status = "wrong"
		r.Hint = fmt.Sprintf("each connection takes one: run `ulimit -n 65536`, or set LimitNOFILE= of the service (at least %d)", fewFiles)
	}
	return r
}

func count64(n int64) string {
	if n < 0 {
		return "any number"
	}
	return fmt.Sprint(n)
}

func hugePages(f *machine.Facts) finding {
	r := finding{What: "huge pages", Status: "ok", Found: "transparent huge pages: " + orUnknown(f.HugePages)}
	if f.HugePages == "never" {
		r.Status, r.Hint = "note", "large weights profit from them: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
	}
	return r
}

func sharedMemory(f *machine.Facts) finding {
	r := finding{What: "/dev/shm", Status: "ok", Found: bytesText(f.SharedMemory)}
	if f.SharedMemory < 0 {
		r.Found = "not there"
	}
	return r
}

// jobLimits tells what would hold the limits of training programs.
func jobLimits(open func(dir string) (*child.Groups, error)) finding {
	r := finding{What: "job limits", Status: "ok"}
	groups, err := open("")
	if err != nil {
		r.Status, r.Found = "note", fmt.Sprintf("of training programs: resource limits and a look at their memory 20 times a second (%v)", err)
		r.Hint = "for limits that the kernel holds, run the service with Delegate=yes and DelegateSubgroup=, or name a folder that it may use: --train-cgroup"
		return r
	}
	r.Found = "of training programs: control groups in " + groups.Dir()
	return r
}

// gpus tells what the system has; gpuFindings tells what CUDA says of it.
func gpus(f *machine.Facts) finding {
	r := finding{What: "GPUs", Status: "ok"}
	switch {
	case len(f.Devices) > 0 && f.Driver == "":
		r.Found = fmt.Sprintf("%d NVIDIA devices (%s), no driver's version readable", len(f.Devices), strings.Join(f.Devices, ", "))
		r.Status, r.Hint = "note", "install NVIDIA's driver; until then models run on the CPU"
	case len(f.Devices) > 0:
		r.Found = fmt.Sprintf("%d NVIDIA devices (%s), driver %s", len(f.Devices), strings.Join(f.Devices, ", "), f.Driver)
	case f.Driver != "":
		r.Found = "an NVIDIA driver (" + f.Driver + ") and no devices"
	default:
		r.Found = "no NVIDIA driver"
	}
	return r
}
