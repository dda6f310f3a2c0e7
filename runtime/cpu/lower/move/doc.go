// Package move holds the work of a step that rearranges elements and hardly computes:
// boxes copied from one layout to another, rows gathered, planes resampled, types
// converted, values compared and chosen. It is plain Go over slices: what limits it is memory.
//
// Neighbours: runtime/cpu/lower decides what is moved; shapes are known by then.
//
// Ownership: nothing is kept or allocated; a destination must not overlap a source.
// Indices that a caller computed are trusted; those that come with the data are checked.
//
// Concurrency: functions on different destinations may run at the same time.
package move
