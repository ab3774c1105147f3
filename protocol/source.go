package protocol

// RecordSource is record bytes that a response carries without copying them: a range of an open
// segment file. Whoever encodes the response calls Release exactly once.
type RecordSource interface {
	// Size is the length in bytes.
	Size() int
	// AppendTo copies the bytes (TLS, tests, memory file systems).
	AppendTo(dst []byte) ([]byte, error)
	// FileRange is the descriptor and the position of the first byte, for sendfile; ok is false when
	// the bytes are not in a file.
	FileRange() (fd uintptr, position int64, ok bool)
	// Release lets the file close.
	Release()
}

// ReadFailer is a RecordSource that wants to know what its file answered to sendfile when it could not be read.
type ReadFailer interface{ ReadFailed(err error) }
