package service

import (
	"sync/atomic"

	"github.com/aimass/aimass/api"
)

// Counts counts answers by protocol and code; the empty code is success.
type Counts struct {
	http, grpc map[api.Code]*atomic.Int64
}

func (c *Counts) init() {
	c.http, c.grpc = map[api.Code]*atomic.Int64{"": {}}, map[api.Code]*atomic.Int64{"": {}}
	for _, row := range api.Table() {
		c.http[row.Code], c.grpc[row.Code] = new(atomic.Int64), new(atomic.Int64)
	}
}

// HTTP counts an answer over REST.
func (c *Counts) HTTP(err error) { c.http[known(err)].Add(1) }

// GRPC counts an answer over gRPC.
func (c *Counts) GRPC(err error) { c.grpc[known(err)].Add(1) }

func known(err error) api.Code {
	code := api.CodeOf(err)
	if code != "" && !code.Known() {
		return api.CodeInternal
	}
	return code
}

// Each calls f for every protocol and code that occurred, success as "ok".
func (c *Counts) Each(f func(protocol, code string, n int64)) {
	each := func(protocol string, m map[api.Code]*atomic.Int64) {
		if n := m[""].Load(); n > 0 {
			f(protocol, "ok", n)
		}
		for _, row := range api.Table() {
			if n := m[row.Code].Load(); n > 0 {
				f(protocol, string(row.Code), n)
			}
		}
	}
	each("http", c.http)
	each("grpc", c.grpc)
}
