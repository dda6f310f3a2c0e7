//go:build !linux

package isa

func populate([]byte) {}
