package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecycledBuffersKeepTheirSize(t *testing.T) {
	for _, size := range []int{smallBuffer, burstBuffer, largeBuffer, 2 * largeBuffer, largestPooled, 5000} {
		b := buffer(size)
		require.Len(t, b, size)
		recycle(b[:10])
		require.Len(t, buffer(size), size)
	}
}

func TestRecycledBufferIsPoisonUnderTheRaceDetector(t *testing.T) {
	b := buffer(smallBuffer)
	b[0] = 1
	recycle(b)
	require.Equal(t, poisonRecycled, b[0] == poisonByte)
}
