package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrFrameSize is a frame whose announced size is negative or over the limit: close the connection.
var ErrFrameSize = errors.New("bad frame size")

// Frame limits in bytes; a frame's size announces nothing that may be allocated before it has come.
const (
	maxProduceFrame = 100 << 20 // socket.request.max.bytes by default
	maxLargeFrame   = 8 << 20
	maxSmallFrame   = 1 << 20
	produceOverhead = 1 << 20 // around one batch of the largest size
)

// ParseFrameSize reads the four bytes before a frame. The size may be 0 (no header fits: ParseHeader
// refuses it) and is at most limit bytes. The reader must grow its buffer with what arrives: four bytes
// alone must not make it allocate.
func ParseFrameSize(b [4]byte, limit int32) (int32, error) {
	n := int32(binary.BigEndian.Uint32(b[:]))
	if n < 0 || n > limit {
		return 0, fmt.Errorf("%w: %d, limit %d", ErrFrameSize, n, limit)
	}
	return n, nil
}

// MaxFrameBytes is the largest frame of an API; messageMaxBytes is the broker's message.max.bytes. A
// Produce request carries many partitions with up to that size each, so its limit is Kafka's default
// for all requests, or more where one batch alone needs it; the caller takes the lesser of this and
// socket.request.max.bytes. An API whose requests have neither array nor bytes is small. A key that is
// unknown gets the small limit, too.
func MaxFrameBytes(key int16, messageMaxBytes int32) int32 {
	api := request(key)
	switch {
	case key == 0:
		return int32(min(max(maxProduceFrame, int64(messageMaxBytes)+produceOverhead), math.MaxInt32))
	case api != nil && api.large:
		return maxLargeFrame
	}
	return maxSmallFrame
}
