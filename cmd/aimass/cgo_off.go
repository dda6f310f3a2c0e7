//go:build !cgo

package main

// cgoBuild says whether the binary was built with cgo, which the fast kernels need.
const cgoBuild = false
