package service

import (
	"math"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/shm"
	"github.com/aimass/aimass/server/wire"
)

// SharedMemory holds the regions that clients have registered.
func (s *Service) SharedMemory() *shm.Registry { return s.shared }

// keepShared bounds the memory for an input out of shared memory that a Call keeps.
const keepShared = 4 << 20

// maxShared bounds an input out of shared memory in bytes, as large as gRPC lets a request be.
const maxShared = math.MaxInt32

// BindShared makes what lies in shared memory the input at a position, by a copy. Type and
// shape have been checked.
func (c *Call) BindShared(i int, d tensor.DType, shape tensor.Shape, at *wire.Shared) error {
	g, err := c.service.shared.Acquire(c.Tenant, string(at.Region))
	if err != nil {
		return err
	}
	defer g.Release()
	p := &c.Served.Inputs[i]
	if want := uint64(d.Bytes(shape.Elements())); d != tensor.String && at.Size != want {
		return api.Errorf(api.CodeSizeMismatch, "input byte size mismatch for input '%s' for model '%s'. Expected %d, got %d", p.Name, c.Served.Model, want, at.Size)
	}
	if at.Size > g.Size {
		return api.Errorf(api.CodeSharedMemoryRange, "Invalid offset + byte size for shared memory region: '%s'", at.Region)
	}
	// A memory object may be larger than the machine's memory, of which it takes none before it is written.
	if len(shape) > 0 {
		if err := c.Served.CheckRows(shape[0]); err != nil {
			return err
		}
	}
	if at.Size > maxShared {
		return api.Errorf(api.CodeBodyTooLarge, "input '%s' for model '%s' has %d bytes in shared memory, more than the %d that a request may have",
			p.Name, c.Served.Model, at.Size, maxShared)
	}
	for len(c.copies) <= i {
		c.copies = append(c.copies, nil)
	}
	if cap(c.copies[i]) < int(at.Size) {
		c.copies[i] = tensor.Aligned(int(at.Size))
	}
	data := c.copies[i][:at.Size]
	if err := g.Read(data, at.Offset); err != nil {
		return err
	}
	if d != tensor.String {
		return c.Bind(i, d, shape, data, nil)
	}
	strs, err := wire.SplitBytes(data, shape.Elements())
	if err != nil {
		return api.Errorf(api.CodeOf(err), "input '%s' for model '%s': %s", p.Name, c.Served.Model, api.Message(err))
	}
	return c.Bind(i, d, shape, nil, strs)
}

// Share has the output that was asked for last put into shared memory.
func (c *Call) Share(at *wire.Shared) error {
	g, err := c.service.shared.Acquire(c.Tenant, string(at.Region))
	if err != nil {
		return err
	}
	o := &c.Outputs[len(c.Outputs)-1]
	o.region, o.shared = g, wire.Shared{Region: append([]byte(nil), at.Region...), Offset: at.Offset, Size: at.Size}
	if at.Offset > g.Size || at.Size > g.Size-at.Offset {
		return api.Errorf(api.CodeSharedMemoryRange, "Invalid offset + byte size for shared memory region: '%s'", at.Region)
	}
	return nil
}

// fits refuses a request whose answer, as far as its size can be told before the model runs, has no room in
// the regions that it names: a sequence's state must not move on for an answer that nobody gets.
func (c *Call) fits() error {
	for k := range c.Outputs {
		o := &c.Outputs[k]
		if o.region == nil || o.Classes > 0 {
			continue
		}
		if n, known := c.Served.OutputBytes(o.Position, &c.Call); known && n > o.shared.Size {
			return tooSmall(c.Served.Outputs[o.Position].Name, o.shared.Size, n)
		}
	}
	return nil
}

func tooSmall(output string, size, need uint64) error {
	return api.Errorf(api.CodeSharedMemoryRange,
		"shared memory size specified with the request for output '%s' (%d bytes) should be at least %d bytes to hold the results", output, size, need)
}

// place puts a result into its region and leaves its data out of the answer.
func (o *Output) place(r *wire.Result) error {
	data := r.Data
	if r.DType == tensor.String {
		var err error
		if data, err = wire.AppendBytes(nil, r.Strings); err != nil {
			return err
		}
	}
	if uint64(len(data)) > o.shared.Size {
		return tooSmall(r.Name, o.shared.Size, uint64(len(data)))
	}
	if err := o.region.Write(data, o.shared.Offset); err != nil {
		return err
	}
	r.Data, r.Strings, r.Elsewhere, r.Binary = nil, nil, true, false
	r.Params = o.shared.Params(uint64(len(data)))
	return nil
}

// dropShared gives the regions back.
func (c *Call) dropShared() {
	for k := range c.Outputs {
		if g := c.Outputs[k].region; g != nil {
			g.Release()
			c.Outputs[k].region = nil
		}
	}
	for i := range c.copies {
		if cap(c.copies[i]) > keepShared {
			c.copies[i] = nil
		}
	}
}
