package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// The floor of overload is what this kernel gives a server that does nothing but refuse: one thread reads requests and writes the same refusal to each,
// and another one computes with what is left of the core.

// floor is what the floor's server reached under a load.
type floor struct {
	left     float64 // share of the core that was left to compute with
	p50, p99 float64 // ms
	refused  float64 // a second
}

const leftPath = "GET /left "

// refuse is the floor's server. A connection brings one request after the other.
func refuse(addr, file string) error {
	r, err := readReplay(file)
	if err != nil {
		return err
	}
	goruntime.GOMAXPROCS(2)
	var left atomic.Int64
	go compute(&left)
	goruntime.LockOSThread()
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return err
	}
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(listener, &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte(tcp.IP.To4())}); err != nil {
		return err
	}
	if err := unix.Listen(listener, 4096); err != nil {
		return err
	}
	set, err := unix.EpollCreate1(0)
	if err != nil {
		return err
	}
	watch := func(fd int) error {
		return unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	if err := watch(listener); err != nil {
		return err
	}
	answer := func(status, body string) []byte {
		return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
	refusal, metadata := answer("503 Service Unavailable", string(r.Infer)), answer("200 OK", r.Metadata)
	missing := map[int]int{} // bytes of a request's body that have not come
	events, buf := make([]unix.EpollEvent, 256), make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(set, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			fd := int(e.Fd)
			if fd == listener {
				if c, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK); err == nil {
					_ = unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
					if err := watch(c); err != nil {
						return err
					}
				}
				continue
			}
			k, err := unix.Read(fd, buf)
			if err != nil || k == 0 {
				delete(missing, fd)
				unix.Close(fd)
				continue
			}
			out := refusal
			switch b := buf[:k]; {
			case missing[fd] > 0:
				missing[fd] -= k
			case bytes.HasPrefix(b, []byte(leftPath)):
				out = answer("200 OK", strconv.FormatInt(left.Load(), 10))
			case bytes.HasPrefix(b, []byte("GET ")):
				out = metadata
			default:
				missing[fd] = bodyMissing(b)
			}
			if missing[fd] <= 0 {
				_, _ = unix.Write(fd, out) // a client that doesn't read is no part of the measurement
			}
		}
	}
}

// bodyMissing is how much of a request's body is not in b, which has its whole head.
func bodyMissing(b []byte) int {
	head, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	_, length, _ := bytes.Cut(head, []byte("\r\nContent-Length: "))
	length, _, _ = bytes.Cut(length, []byte("\r\n"))
	n, _ := strconv.Atoi(string(length))
	return n - len(body)
}

// compute uses what is left of the core, as a model does in the background, and tells how much it was.
func compute(left *atomic.Int64) {
	goruntime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19)
	for x := 0; ; {
		for range 50_000 {
			x++
		}
		var t unix.Timespec
		if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) == nil {
			left.Store(t.Nano())
		}
	}
}

// floor measures the floor under a load.
func (r *run) floor(s *process, c *crowd, rate float64) (*floor, error) {
	file := filepath.Join(r.dir, "floor.json")
	metadata, err := get(s.http + "/v2/models/" + c.model)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(&replay{Metadata: metadata,
		Infer: []byte(`{"error":"refused","code":"deadline_unmeetable","request_id":"0123456789abcdef","retryable":true}`)})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start(r.ctx, "http://"+addr+"/ready", "", nil, "taskset", "-c", "0", self, "noop-refuse", addr, file)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	p.http = "http://" + addr
	left := func() float64 {
		text, _ := get(p.http + "/left")
		ns, _ := strconv.ParseFloat(text, 64)
		return ns / 1e9
	}
	before, began := left(), time.Now()
	res, err := r.apart(p, c, "--rate", fmt.Sprint(rate), "--deadline", c.deadline.String(), "--connections", fmt.Sprint(c.connections))
	if err != nil {
		return nil, err
	}
	idle := time.Since(began).Seconds() - res.Duration // before and after the load the whole core is left
	return &floor{left: (left() - before - idle) / res.Duration, p50: float64(res.Refusal.P50) / 1e6, p99: float64(res.Refusal.P99) / 1e6,
		refused: float64(res.Errors["deadline_unmeetable"]) / res.Duration}, nil
}

func get(url string) (string, error) {
	res, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}
