package replication

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSettingsHaveTheLevelOfTheTopicsOwnCodec(t *testing.T) {
	n := newNode(t)
	levels := map[string]string{"compression.gzip.level": "7", "compression.lz4.level": "12", "compression.zstd.level": "-5"}
	for codec, want := range map[string]int32{"gzip": 7, "lz4": 12, "zstd": -5, "snappy": 0, "uncompressed": 0, "producer": 0} {
		overrides := map[string]string{"compression.type": codec, "max.decompressed.message.bytes": "1234"}
		for name, level := range levels {
			overrides[name] = level
		}
		s := newSettings("t", n.values.Topic(overrides))
		require.Equal(t, want, s.validate.CompressionLevel, codec)
		require.EqualValues(t, 1234, s.validate.MaxDecompressedBytes)
		require.EqualValues(t, 1234, s.log.MaxDecompressedMessageBytes)
	}
	// The broker's level holds for topics that do not say.
	n.values = n.values.WithDynamic(nil, map[string]string{"compression.type": "zstd", "compression.zstd.level": "19"})
	require.EqualValues(t, 19, newSettings("t", n.values.Topic(nil)).validate.CompressionLevel)
}
