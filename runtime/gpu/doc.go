// Package gpu runs graphs on NVIDIA GPUs, one or several.
//
// For each set of input shapes a program makes a plan: nodes become operations on
// cuda/kernel's descriptors (lower*.go), what no kernel takes becomes an island that the host
// device runs, with copies at the seams. Operations are placed on devices (place*.go): all on
// one, layers in stages, or each wide layer split over all (tensor parallel). Values get places
// in one arena a device by the span of steps in which they live. The launches between two
// seams are captured into a CUDA graph, so that a batch costs a copy in, a graph launch and
// a copy out. Devices that need each other's results wait by events in their streams (track.go), not
// through the host.
//
// A device has lanes (cuda/driver): batches on two lanes overlap. Weights are uploaded once a
// program and device. A device that fails is taken out; the batch in flight is run once more
// elsewhere, and the program's weights are placed again on what is left, or the host device
// takes over.
//
// Neighbours: runtime hands graphs here; cuda/driver runs launches; the host device, which
// runtime gives, runs the islands.
//
// Ownership: a Call's inputs are read until Run returns; outputs hold until Release.
//
// Concurrency: a Device and a Program may be used from any number of goroutines.
package gpu
