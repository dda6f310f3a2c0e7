package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// leaders are the processes that Start started and that have not been waited for. While one is being
// started, and is in a group of its own but not yet among them, nobody looks for orphans.
var (
	leaders  sync.Map
	starting sync.RWMutex
)

// variable is that of the environment which holds the mark: it is passed on to all that a process starts, and tells whose
// they are when that one is no more, and that they are nobody else's: the first process of a container is left other
// people's orphans, too.
const variable = "AIMASS_CHILD_OF="

// mark names a process such that no other, of any time, is taken for it: what numbers processes, where it is numbered so, and when it
// began, in ticks of the clock of its namespace of time.
type mark struct {
	spaces, pid, began string
	// spared tells the starts of a process apart whose leavings live on if they end well, 0 for all others.
	spared int64
}

func (m mark) String() string {
	s := m.spaces + ":" + m.pid + ":" + m.began
	if m.spared > 0 {
		s += ":" + strconv.FormatInt(m.spared, 10)
	}
	return s
}

func parseMark(s string) (m mark, ok bool) {
	f := strings.Split(s, ":")
	if len(f) == 4 {
		m.spared, _ = strconv.ParseInt(f[3], 10, 64)
		if m.spared <= 0 {
			return m, false
		}
		f = f[:3]
	}
	if len(f) != 3 {
		return m, false
	}
	m.spaces, m.pid, m.began = f[0], f[1], f[2]
	return m, true
}

// self is this process; its spaces are "" where the system does not tell.
var self = sync.OnceValue(func() mark {
	m := mark{pid: strconv.Itoa(os.Getpid())}
	_, m.began, _ = lifeOf("self")
	seen, _ := os.Readlink("/proc/self") // another number where /proc is that of another namespace
	pids, err := os.Readlink("/proc/self/ns/pid")
	if times, _ := os.Readlink("/proc/self/ns/time"); err == nil && m.began != "" && seen == m.pid {
		m.spaces = number(pids) + "." + number(times)
	}
	return m
})

// number is what "pid:[4026531836]" has in brackets.
func number(link string) string {
	_, n, _ := strings.Cut(strings.TrimSuffix(link, "]"), "[")
	return n
}

// lifeOf gives the state, the parent and the beginning of a process.
func lifeOf(pid string) (parent, began string, running bool) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	// The second field is the name in parentheses and may hold anything; state and parent follow, and 18 fields on when it began.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if err != nil || len(f) < 20 {
		return "", "", false
	}
	return string(f[1]), string(f[19]), f[0][0] != 'Z' && f[0][0] != 'X'
}

// dead reports that the process which a mark names is certainly no more. One of another namespace may not be seen from here.
func (m mark) dead() bool {
	own := self()
	pid, err := strconv.Atoi(m.pid)
	if err != nil || pid <= 0 || own.spaces == "" || m.spaces != own.spaces {
		return false
	}
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	_, began, running := lifeOf(m.pid)
	return began != "" && (began != m.began || !running)
}

var spared atomic.Int64

// adopt has what cmd will leave behind known by a mark, and makes this process its parent unless that may live on.
func adopt(cmd *exec.Cmd, o Options) mark {
	m := self()
	if o.Spare {
		m.spared = spared.Add(1)
	} else {
		reap()
	}
	cmd.Env = append(cmd.Environ(), variable+m.String())
	return m
}

var reap = sync.OnceFunc(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })

// killOrphans kills the processes that were left to this one, as one that left its group by setsid, and are marked as its own, or as those
// of a process that is dead. As each one dies, what it has started is left to this process in turn.
func killOrphans() {
	own := self()
	end(true, func(m mark) bool { return m == own || m.spared == 0 && m.dead() })
}

// killMarked kills every process with a mark.
func killMarked(m mark) { end(false, func(x mark) bool { return x == m }) }

// EndLeft kills the processes that servers of this machine, and whatever else starts children by Start, have left behind that
// are dead themselves: what was killed can't see to it. It gives how many there were. What has removed the mark from its environment, belongs
// to a user whose processes this one may not look at, or lives in another namespace is left alone.
func EndLeft() int {
	inherited, _ := parseMark(os.Getenv(strings.TrimSuffix(variable, "=")))
	return end(false, func(m mark) bool { return m.spared == 0 && m != inherited && m.dead() })
}

// end kills the processes, or of them the children of this one, whose marks match, until there are none, and gives how many there
// were. Children are reaped.
func end(children bool, match func(m mark) bool) int {
	const rounds, pause = 200, 2 * time.Millisecond
	killed := map[int]bool{}
	// Until twice none was found: one that was just dying had no environment any more, and what it had started no dead owner yet.
	for quiet, round := 0, 0; quiet < 2 && round < rounds; round++ {
		if round > 0 {
			time.Sleep(pause)
		}
		quiet++
		starting.Lock()
		for _, pid := range processes() {
			if _, leads := leaders.Load(pid); !leads && kill(pid, children, match) {
				killed[pid] = true
				quiet = 0
			}
		}
		starting.Unlock()
	}
	return len(killed)
}

// processes lists the numbers of all but this one.
func processes() (list []int) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			list = append(list, pid)
		}
	}
	return list
}

// kill kills a process if its mark matches. The number of a child can't pass on to another before it is reaped; that of any other is
// held by a descriptor (Linux 5.3) before it is looked at.
func kill(pid int, children bool, match func(m mark) bool) bool {
	name := strconv.Itoa(pid)
	parent, _, _ := lifeOf(name)
	child := parent == strconv.Itoa(os.Getpid())
	if children && !child {
		return false
	}
	fd := -1
	if !child {
		var err error
		if fd, err = unix.PidfdOpen(pid, 0); err != nil {
			return false
		}
		defer unix.Close(fd)
	}
	if m, marked := markOf(name); !marked || !match(m) {
		return false
	}
	if !child {
		return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	_, _ = syscall.Wait4(pid, nil, 0, nil)
	return true
}

// markOf reads the mark in a process's environment.
func markOf(pid string) (mark, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%s/environ", pid))
	if err != nil {
		return mark{}, false
	}
	for entry := range bytes.SplitSeq(b, []byte{0}) {
		if m, ok := bytes.CutPrefix(entry, []byte(variable)); ok {
			return parseMark(string(m))
		}
	}
	return mark{}, false
}
