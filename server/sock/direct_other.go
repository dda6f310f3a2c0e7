//go:build !linux

package sock

import "net"

// direct is there on Linux only.
type direct struct{}

func newDirect(net.Conn) *direct { return nil }

func (c *Conn) receive(p []byte) (int, error) { return c.Conn.Read(p) }

func (c *Conn) transmit(p []byte) (int, error) { return c.Conn.Write(p) }
