// Package onnx reads ONNX files into runtime/graph, and the standard's tensor files for
// tests. It decodes the protobuf wire format over a mapping of the file, so that weights
// in raw_data or in external files are slices of the mapping and never copied.
//
// Neighbours: runtime loads models through Open; runtime/onnx/build writes models.
//
// Ownership: the constants of a File's graph point into its mappings. Close unmaps them:
// nothing of the graph may be used afterwards. A file that is cut short by somebody else
// while it is mapped raises SIGBUS on access, so models are replaced by renaming.
//
// Concurrency: a File may be read from any number of goroutines.
package onnx
