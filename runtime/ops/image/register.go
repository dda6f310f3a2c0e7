package image

import "github.com/aimass/aimass/runtime/ops"

// Register adds the operators on pictures.
func Register(r *ops.Registry) { r.Add(imageDecoder()) }
