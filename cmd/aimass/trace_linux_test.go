//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// written is what a traced process has put, or could have put, into a file.
type written struct {
	call, path string
	data       []byte
}

// tracer follows every thread and child of a process from system call to system call.
type tracer struct {
	files []written
	calls int
	// unseen are calls whose bytes do not pass by the tracer.
	unseen []string
}

// trace runs this test binary as the program, traced, and gives what it wrote and its exit
// code. started, if not nil, is called with the process in a goroutine of its own. ok is false
// where nothing can be traced.
func trace(t *testing.T, started func(pid int), args ...string) (tr *tracer, out string, code int, ok bool) {
	t.Helper()
	// A thread traces what it has started, and only that is waited for.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "E2E_MAIN=1")
	text := &logFile{}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	copied := make(chan struct{})
	go func() { defer close(copied); _, _ = r.WriteTo(text) }()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	err = cmd.Start()
	w.Close()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		t.Logf("NOT RUN: %s: processes can't be traced here: %v", t.Name(), err)
		return nil, "", 0, false
	}
	if err != nil {
		t.Fatal(err)
	}
	tr = &tracer{}
	code, err = tr.run(cmd.Process.Pid, started)
	<-copied
	if err != nil {
		t.Fatalf("tracing: %v\n%s", err, text)
	}
	return tr, text.String(), code, true
}

// sysGood marks a stop at a system call.
const sysGood = unix.SIGTRAP | 0x80

func (tr *tracer) run(pid int, started func(pid int)) (code int, err error) {
	var st unix.WaitStatus
	if _, err := unix.Wait4(pid, &st, unix.WALL, nil); err != nil {
		return 0, fmt.Errorf("the first stop: %w", err)
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		return 0, fmt.Errorf("options: %w", err)
	}
	if started != nil {
		go started(pid)
	}
	known := map[int]bool{pid: true}
	who, signal := pid, 0
	for {
		if err := unix.PtraceSyscall(who, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return 0, fmt.Errorf("going on: %w", err)
		}
		for {
			who, err = unix.Wait4(-1, &st, unix.WALL|unix.WNOTHREAD, nil)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return 0, fmt.Errorf("waiting: %w", err)
			}
			if !st.Exited() && !st.Signaled() {
				break
			}
			if who == pid {
				return st.ExitStatus(), nil
			}
		}
		signal = 0
		switch s := st.StopSignal(); {
		case s == sysGood:
			tr.calls++
			tr.look(who)
		case st.TrapCause() > 0: // a clone or exec
		case s == unix.SIGSTOP && !known[who]: // where a new thread begins
		default:
			signal = int(s)
		}
		known[who] = true
	}
}

// call is the kernel's struct ptrace_syscall_info at the entry of a call.
type call struct {
	op   uint8
	_    [3]uint8
	arch uint32
	ip   uint64
	sp   uint64
	nr   uint64
	args [6]uint64
}

// The names of linux/ptrace.h.
const (
	getSyscallInfo = 0x420e
	infoEntry      = 1
)

// look notes the call that a thread stands before.
func (tr *tracer) look(tid int) {
	var c call
	if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(c), uintptr(unsafe.Pointer(&c)), 0, 0); errno != 0 || c.op != infoEntry {
		return
	}
	add := func(name string, fd uint64, data []byte) {
		if path, regular := fileOf(tid, fd); regular {
			tr.files = append(tr.files, written{name, path, data})
		}
	}
	unseen := func(name string, fd uint64) {
		if path, regular := fileOf(tid, fd); regular {
			tr.unseen = append(tr.unseen, name+" to "+path)
		}
	}
	switch c.nr {
	case unix.SYS_WRITE:
		add("write", c.args[0], memoryOf(tid, c.args[1], c.args[2]))
	case unix.SYS_PWRITE64:
		add("pwrite", c.args[0], memoryOf(tid, c.args[1], c.args[2]))
	case unix.SYS_WRITEV, unix.SYS_PWRITEV, unix.SYS_PWRITEV2:
		list := memoryOf(tid, c.args[1], 16*c.args[2])
		var data []byte
		for ; len(list) >= 16; list = list[16:] {
			v := (*[2]uint64)(unsafe.Pointer(&list[0]))
			data = append(data, memoryOf(tid, v[0], v[1])...)
		}
		add("writev", c.args[0], data)
	case unix.SYS_SENDFILE:
		unseen("sendfile", c.args[0])
	case unix.SYS_SPLICE:
		unseen("splice", c.args[2])
	case unix.SYS_COPY_FILE_RANGE:
		unseen("copy_file_range", c.args[2])
	case unix.SYS_IO_URING_SETUP:
		tr.unseen = append(tr.unseen, "io_uring_setup")
	case unix.SYS_MMAP:
		if c.args[3]&unix.MAP_SHARED != 0 && c.args[3]&unix.MAP_ANONYMOUS == 0 && c.args[2]&unix.PROT_WRITE != 0 {
			unseen("a shared writable mapping", c.args[4])
		}
	}
}

// fileOf names the file of a descriptor; regular is false for sockets, pipes and the like.
func fileOf(tid int, fd uint64) (path string, regular bool) {
	link := "/proc/" + strconv.Itoa(tid) + "/fd/" + strconv.FormatInt(int64(int32(fd)), 10)
	st, err := os.Stat(link)
	if err != nil || !st.Mode().IsRegular() {
		return "", false
	}
	path, _ = os.Readlink(link)
	return path, true
}

// memoryOf reads a thread's memory, as much as there is.
func memoryOf(tid int, at, n uint64) []byte {
	out := make([]byte, min(n, 1<<30))
	if len(out) == 0 {
		return nil
	}
	got, err := unix.ProcessVMReadv(tid, []unix.Iovec{{Base: &out[0], Len: uint64(len(out))}}, []unix.RemoteIovec{{Base: uintptr(at), Len: len(out)}}, 0)
	if err != nil {
		return nil
	}
	return out[:got]
}
