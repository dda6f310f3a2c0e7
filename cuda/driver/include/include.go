// Package include holds the C header of the CUDA driver that cuda/driver is built with,
// and gives its list of functions to the generator of the trampolines.
package include

import _ "embed"

// Functions is cuda_functions.h: a prototype a line, by exported names.
//
//go:embed cuda_functions.h
var Functions string
