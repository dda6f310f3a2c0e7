//go:build unix

package emulator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// The layout that src/control.cpp documents.
const (
	stateBytes  = 256 << 10
	generation  = 64
	taken       = 72
	command     = 128
	reason      = 4096
	refusals    = 8184
	countersAt  = 8192
	firstRecord = 8256
	recordBytes = 64
)

// State is the file that a running double shares with a test: counters to read, settings
// to change. It works across processes.
type State struct {
	mu  sync.Mutex
	mem []byte
}

// OpenState maps the state file at path, which it makes if it is not there. Its path goes
// into Config.State.
func OpenState(path string) (*State, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the emulator's state: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(stateBytes); err != nil {
		return nil, fmt.Errorf("sizing the emulator's state: %w", err)
	}
	mem, err := syscall.Mmap(int(f.Fd()), 0, stateBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the emulator's state: %w", err)
	}
	return &State{mem: mem}, nil
}

// Close unmaps the file; the double keeps its own mapping.
func (s *State) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	mem := s.mem
	s.mem = nil
	return syscall.Munmap(mem)
}

func (s *State) word(at int) *uint64 { return (*uint64)(unsafe.Pointer(&s.mem[at])) }

// Set changes settings, NAME=value without the prefix, from the next call on: FAIL,
// RACECHECK, EAGER, NOPEER, THREADS, LOG, QUIET, MAX_STEPS and the NVML_ ones. FAIL= takes
// all faults back.
func (s *State) Set(settings ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.mem[command:reason]
	clear(text)
	n := 0
	for _, l := range settings {
		n += copy(text[n:len(text)-1], l+"\n")
	}
	atomic.AddUint64(s.word(generation), 1)
}

// Taken waits until the double has seen the last Set, for at most d. It sees it at its
// next call.
func (s *State) Taken(d time.Duration) bool {
	for end := time.Now().Add(d); ; time.Sleep(time.Millisecond) {
		if atomic.LoadUint64(s.word(taken)) == atomic.LoadUint64(s.word(generation)) {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// Counters reads every counter: calls by entry point (call.cuLaunchKernel), bytes and
// copies by direction (bytes.h2d, copies.d2h, …), bytes live and at their highest by device
// (live.0, peak.0, live.host), runs of a kernel (kernel.NAME).
func (s *State) Counters() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := atomic.LoadUint64(s.word(countersAt))
	m := make(map[string]uint64, n)
	for i := range int(n) {
		r := s.mem[firstRecord+i*recordBytes:][:recordBytes]
		name, _, _ := bytes.Cut(r[:recordBytes-8], []byte{0})
		m[string(name)] = atomic.LoadUint64((*uint64)(unsafe.Pointer(&r[recordBytes-8])))
	}
	return m
}

// Counter reads one counter; 0 if it has never counted.
func (s *State) Counter(name string) uint64 { return s.Counters()[name] }

// Refusal is the reason of the last refusal and how many there were.
func (s *State) Refusal() (string, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, _, _ := bytes.Cut(s.mem[reason:refusals], []byte{0})
	return string(text), binary.LittleEndian.Uint64(s.mem[refusals:])
}
