//go:build kafka

package interop

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMetadataThatWeDoNotKnowStopsTheStartAndNothingIsChanged: records and feature levels of a newer Kafka at the end
// of the metadata log that 4.4.0 wrote. The directory also has what a start would tidy up.
func TestMetadataThatWeDoNotKnowStopsTheStartAndNothingIsChanged(t *testing.T) {
	t.Parallel()
	n := newNode(t, dynamic, 2, "log.segment.delete.delay.ms=600000")
	n.format()
	n.start(kafka)
	n.create("kept", 2)
	n.create("gone", 2)
	n.produce(&ledger{}, "kept", 2, 1000)
	n.produce(&ledger{}, "gone", 2, 1000)
	n.delete("gone")
	before := n.look()
	n.stop()
	require.NotEmpty(t, n.files(func(p string) bool { return filepath.Base(p) == ".kafka_cleanshutdown" }))
	log := filepath.Join(n.logDirs[0], "__cluster_metadata-0", "00000000000000000000.log")
	original, err := os.ReadFile(log)
	require.NoError(t, err)
	info, err := os.Stat(log)
	require.NoError(t, err)
	for _, c := range []struct {
		message    string
		key, value []byte
		control    bool
	}{
		{message: "metadata record of unknown key 99, version 0", value: []byte{1, 99, 0}},
		{message: "(key 2) of unknown version 7", value: []byte{1, 2, 7}},
		{message: "unknown frame version 3", value: []byte{3, 2, 0}},
		{message: "feature mirror.version has level 1, and this server does not know it", value: feature("mirror.version", 1)},
		{message: "feature metadata.version has level 34, and this server knows 7 to 33", value: feature("metadata.version", 34)},
		{message: "feature share.version has level 3, and this server knows 0 to 2", value: feature("share.version", 3)},
		{message: "unknown control record: type 42", key: []byte{0, 0, 0, 42}, value: []byte{0, 0}, control: true},
	} {
		require.NoError(t, os.WriteFile(log, append(original[:len(original):len(original)], batchAfter(t, original, c.key, c.value, c.control)...), 0o600))
		hashes := n.hashes()
		err := n.tryStart(ours)
		require.ErrorContains(t, err, c.message)
		require.Equal(t, hashes, n.hashes(), "something on the disk was changed: %s", c.message)
	}
	require.NoError(t, os.WriteFile(log, original, info.Mode()))
	n.start(ours)
	requireCarriedOver(t, before, n.look())
	n.stop()
}

// feature is a FeatureLevelRecord, version 0; the level is below 64.
func feature(name string, level byte) []byte {
	out := append([]byte{1, 12, 0, byte(len(name) + 1)}, name...)
	return append(out, 0, level, 0)
}

// batchAfter is a batch of one record that follows the last one of log, of the same epoch.
func batchAfter(t *testing.T, log, key, value []byte, control bool) []byte {
	t.Helper()
	var next int64
	var epoch uint32
	for at := 0; at < len(log); {
		b := log[at:]
		next = int64(binary.BigEndian.Uint64(b)) + int64(binary.BigEndian.Uint32(b[23:])) + 1
		epoch = binary.BigEndian.Uint32(b[12:])
		at += 12 + int(binary.BigEndian.Uint32(b[8:]))
	}
	body := []byte{0, 0, 0} // attributes, deltas of timestamp and offset
	body = appendBytes(body, key)
	body = appendBytes(body, value)
	body = append(body, 0) // headers
	record := append(binary.AppendVarint(nil, int64(len(body))), body...)
	out := make([]byte, 61, 61+len(record))
	binary.BigEndian.PutUint64(out, uint64(next))
	binary.BigEndian.PutUint32(out[8:], uint32(49+len(record)))
	binary.BigEndian.PutUint32(out[12:], epoch)
	out[16] = 2
	if control {
		out[22] = 1 << 5
	}
	copy(out[43:57], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff") // no producer
	binary.BigEndian.PutUint32(out[57:], 1)
	out = append(out, record...)
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}
