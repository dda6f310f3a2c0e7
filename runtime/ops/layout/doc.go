// Package layout moves elements between tensors whatever their type: the shared ground of
// the operators that rearrange and do not compute (Transpose, Slice, Concat, …).
//
// Neighbours: runtime/ops/shape, seq, control and quant are built on it; it knows
// tensors alone.
//
// Ownership: Cells view a tensor's memory, except for elements narrower than a byte,
// which are unpacked into a copy; Flush writes that back.
//
// Concurrency: as for tensors, any number of readers or one writer.
package layout
