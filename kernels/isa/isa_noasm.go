//go:build !amd64 || !cgo || noasm

package isa

func detect() Features { return Features{} }
