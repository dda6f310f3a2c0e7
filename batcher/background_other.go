//go:build !linux

package batcher

// lowersThreads: a priority is a whole process's here.
const lowersThreads = false

func lowerThread() {}
