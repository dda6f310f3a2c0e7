// Package driver runs Launches on NVIDIA GPUs through the CUDA driver. It is the only
// importer of gorgonia.org/cu; what that lacks (pinned memory, function attributes, launch
// lists, graphs, memory pools) is in native.c.
//
// It is built with the tag cuda, which needs cgo and, on the link path, the trampolines of
// cuda/driver/trampoline; without the tag Open returns ErrNoCUDA. The driver itself is
// opened at the first call of Open, from $AIMASS_CUDA_LIBRARY or else libcuda.so.1.
//
// Neighbours: runtime/gpu drives Contexts and Lanes; cuda/ptx holds what Load takes;
// cuda/emulator is a driver for tests.
//
// Ownership: device and pinned memory belongs to the Context that allocated it and is gone
// with Close. Slices passed in are read or written until the call returns, except those of
// Pinned memory, which belong to the device from an asynchronous copy until Sync.
//
// Device memory that lasts is of Context.Alloc; a lane's Alloc takes from the device's stream-ordered pool what
// changes with the work, so that nothing waits where it grows.
//
// Concurrency: a Driver and a Context may be used from any number of goroutines. A Lane is
// one OS thread with the context current and a stream: what is passed to Do runs there, one
// function at a time, and must not call methods of the Context that wait for a lane.
package driver
