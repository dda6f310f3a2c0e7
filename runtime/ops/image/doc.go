// Package image holds the operators that decode pictures.
//
// Neighbours: runtime/ops; the decoders are Go's image packages and golang.org/x/image.
// Where their answer differs from what the standard asks for (chroma that grows with its
// picture) this package finishes the picture from the decoded planes.
//
// Ownership and concurrency are runtime/ops's: Eval keeps nothing and shares nothing.
package image

import "github.com/aimass/aimass/runtime/ops"

// Register adds the operators on pictures.
func Register(r *ops.Registry) { r.Add(imageDecoder()) }
