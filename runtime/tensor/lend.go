package tensor

// Lender has the data of tensors in memory that need not hold them all the time: a mapped file's, or
// what is decrypted on demand. Its methods are safe for concurrent use. Parts are slices of its memory.
type Lender interface {
	// Await returns when part holds its data, and keeps them there.
	Await(part []byte) error
	// Borrow is Await until Return, which must follow unless there is an error.
	Borrow(part []byte) error
	// Return ends a Borrow of the same part: its borrower reads that memory no more, which may lose its data
	// once nobody borrows them and nobody has awaited them.
	Return(part []byte)
}

// Kept is a lender whose data stay once they are there.
type Kept struct{ Lender }

// Borrow is Await.
func (k Kept) Borrow(part []byte) error { return k.Await(part) }

// Return keeps the part.
func (k Kept) Return([]byte) {}

// Lost is what Data, Bytes, Origin, Lend and all that read elements panic with where a lender can't give them (any
// more). Whoever runs code of theirs on tensors with a lender makes it an error: see Recover.
type Lost struct{ Err error }

func (l *Lost) Error() string { return "weights can't be read: " + l.Err.Error() }

func (l *Lost) Unwrap() error { return l.Err }

// Recover is deferred by who returns an error, and makes one of a panic with *Lost. Other panics go on.
func Recover(err *error) {
	switch r := recover().(type) {
	case nil:
	case *Lost:
		*err = r
	default:
		panic(r)
	}
}

// Large is the size in bytes from which tensors leave their data to a lender, and those that are misaligned are copied
// only when they are asked for: weights that lie anywhere in a file, which most often are packed and not asked for again.
const Large = 64 << 10

// Lent is FromBytes for data in memory of a lender's. They are there for good once somebody has asked for the elements;
// who only goes through them once calls Lend.
func Lent(d DType, s Shape, data []byte, of Lender) (*Tensor, error) {
	return fromBytes(d, s, data, of)
}

// Lend calls f with a tensor of the same elements. When f returns, src and all memory that it gave may lose
// them, if nobody has asked t itself for its elements. It panics with *Lost if they can't be had.
func (t *Tensor) Lend(f func(src *Tensor)) {
	l := t.late
	if l == nil || l.of == nil {
		f(t)
		return
	}
	l.borrow(t.data)
	defer l.of.Return(t.data)
	src := &Tensor{DType: t.DType, Shape: t.Shape, data: t.data}
	if l.misaligned {
		src.late = &late{misaligned: true}
	}
	f(src)
}
