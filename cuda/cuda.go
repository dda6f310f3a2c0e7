// Package cuda names what the rooms of the GPU backend hand to each other. It knows no
// driver and needs no cgo, so that a plan can be made, printed and tested anywhere.
//
// Neighbours: cuda/kernel describes kernel calls as Launches; cuda/ptx holds the compiled
// modules; cuda/driver runs Launches on a device; cuda/nvml finds devices; runtime/gpu
// lowers graphs to Launches. cuda/emulator is the tests' double of the driver.
package cuda

// Ptr is an address in the memory of one device. Host code never follows it.
type Ptr uint64

// Dim3 is an extent in blocks or threads; a zero counts as 1.
type Dim3 struct{ X, Y, Z uint32 }

// Launch is one kernel call.
type Launch struct {
	Module string // a module of cuda/ptx: the file's name without ".ptx"
	Kernel string // an entry of the module
	Grid   Dim3   // blocks
	Block  Dim3   // threads a block
	Shared uint32 // dynamic shared memory a block, bytes
	// Args are the kernel's parameters in order, each boxed in eight bytes: pointers and
	// integers as they are (signed ones sign-extended), float32 by math.Float32bits.
	// gorgonia.org/cu reads eight bytes through each argument's pointer.
	Args []uint64
}
