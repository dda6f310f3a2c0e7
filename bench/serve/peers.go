package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// peerPlace is where other servers are installed, and the scripts that start them.
type peerPlace struct{ dir, scripts string }

var errNoPeers = errors.New("no other servers are installed (AIMASS_PEERS, and shared/peers with what installs them)")

// tool gives a program of the place, if it is there.
func (p *peerPlace) tool(elem ...string) (string, error) {
	if p.dir == "" || p.scripts == "" {
		return "", errNoPeers
	}
	name := filepath.Join(elem...)
	if _, err := os.Stat(name); err != nil {
		return "", fmt.Errorf("%w: %s is absent", errNoPeers, filepath.Base(name))
	}
	return name, nil
}

// triton starts Triton with models, by kind: triton, or triton-cache for them with its response cache.
func (r *run) triton(kind string, models ...string) (*process, *server, error) {
	script, err := r.place.tool(r.place.scripts, "start.sh")
	if err == nil {
		_, err = r.place.tool(r.place.dir, "venvs", "triton")
	}
	if err != nil {
		return nil, nil, err
	}
	port, err := freePorts(3)
	if err != nil {
		return nil, nil, err
	}
	url := fmt.Sprint("http://127.0.0.1:", port)
	env := []string{"AIMASS_PEERS=" + r.place.dir, fmt.Sprint("HTTP=", port)}
	p, err := start(r.ctx, url+"/v2/health/ready", "", env, append([]string{"bash", script, kind}, models...)...)
	if err != nil {
		return nil, nil, err
	}
	return p, &server{name: "Triton", http: url, grpc: fmt.Sprint("127.0.0.1:", port+1), pid: p.cmd.Process.Pid}, nil
}

// freePorts finds so many ports in a row that nobody listens on.
func freePorts(n int) (int, error) {
next:
	for range 100 {
		addr, err := freePort()
		if err != nil {
			return 0, err
		}
		_, text, _ := net.SplitHostPort(addr)
		first, _ := strconv.Atoi(text)
		for k := range n {
			l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", first+k))
			if err != nil {
				continue next
			}
			l.Close()
		}
		return first, nil
	}
	return 0, errors.New("no free ports in a row")
}

// treeOf lists a process and all that descend from it.
func treeOf(pid int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 {
			parent, _ := strconv.Atoi(f[1])
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			children[parent] = append(children[parent], child)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// cpuOfTree is the processor time of a process and its children, which a server of several processes
// needs.
func cpuOfTree(pid int) (total time.Duration, err error) {
	for _, p := range treeOf(pid) {
		d, err := cpuOf(p)
		if err != nil && p == pid {
			return 0, err
		}
		total += d
	}
	return total, nil
}
