package broker

import (
	"encoding/binary"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzFrames: whatever arrives, however it is cut, comes out as the frames that are its valid prefix.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0, 0, 0, 8, 0, 18, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 3, 0, 0, 0, 0, 0, 2, 7}, uint16(3))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, uint16(1))
	f.Add(append([]byte{0, 2, 0, 0, 0, 0}, make([]byte, 0x20000)...), uint16(5000))
	f.Fuzz(func(t *testing.T, data []byte, piece uint16) {
		const limit = 1 << 20
		client, server := net.Pipe()
		defer func() { _ = client.Close() }()
		go func() {
			for rest := data; len(rest) > 0; {
				n := min(len(rest), int(piece)+1)
				if _, err := client.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
			_ = client.Close()
		}()
		r := newFrameReader(t.Context(), server)
		r.budget = &budget{limit: 8 << 20}
		r.limit = func(int16) int { return limit }
		r.idle = func() bool { return true }
		r.firstByteTimeout, r.idleTimeout, r.frameTimeout = 5*time.Second, 5*time.Second, 5*time.Second
		rest := data
		for {
			frame, err := r.next(func() error { return nil })
			if err != nil {
				require.NotErrorIs(t, err, errSlowFrame, "the reader waits for what it has")
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
				break
			}
			size := int(binary.BigEndian.Uint32(rest))
			require.Equal(t, rest[4:4+size], frame)
			rest = rest[4+size:]
		}
		_ = server.Close()
		r.release()
		require.Zero(t, r.budget.used)
		if len(rest) >= 6 { // what is left is no whole, valid frame
			size := int32(binary.BigEndian.Uint32(rest))
			require.True(t, size < minFrame || size > limit || int(size) > len(rest)-4, "a frame of %d bytes was lost", size)
		}
	})
}
