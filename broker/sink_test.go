package broker

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// badFile is a source whose descriptor is none.
type badFile struct{ failed error }

func (*badFile) Size() int                           { return 10 }
func (*badFile) AppendTo(dst []byte) ([]byte, error) { return dst, nil }
func (*badFile) FileRange() (uintptr, int64, bool)   { return 1 << 20, 0, true }
func (*badFile) Release()                            {}
func (f *badFile) ReadFailed(err error)              { f.failed = err }

func TestSourceHearsWhySendfileFailed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	client, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	served, err := ln.Accept()
	require.NoError(t, err)
	defer func() { _ = served.Close() }()
	source := &badFile{}
	require.ErrorIs(t, newSink(served, time.Second).sendSource(source), unix.EBADF)
	require.ErrorIs(t, source.failed, unix.EBADF)
}
