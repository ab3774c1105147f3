package logstore

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
)

func TestOffsetCheckpointIsKafkasText(t *testing.T) {
	m := vfs.NewMem()
	want := map[TopicPartition]int64{{"foo", 10}: 1234, {"foo", 2}: 0, {"a-b", 0}: 9}
	require.NoError(t, writeOffsets(m, "/c", want))
	data, err := m.ReadFile("/c")
	require.NoError(t, err)
	require.Equal(t, "0\n3\na-b 0 9\nfoo 2 0\nfoo 10 1234\n", string(data))
	got, err := readOffsets(m, "/c")
	require.NoError(t, err)
	require.Equal(t, want, got)
	none, err := readOffsets(m, "/missing")
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestMalformedCheckpointsAreErrors(t *testing.T) {
	for _, text := range []string{
		"1\n0\n", "x\n0\n", "0\n", "0\nx\n", "0\n2\nfoo 0 1\n", "0\n0\nfoo 0 1\n", "0\n1\nfoo 0 1\n\n",
		"0\n1\nfoo 0\n", "0\n1\nfoo x 1\n", "0\n1\nfoo 0 x\n", "0\n2\nfoo 0 1\nfoo 0 2\n", "0\n-1\n",
	} {
		_, err := parseOffsets([]byte(text))
		require.ErrorIs(t, err, errMalformedCheckpoint, "%q", text)
	}
	for _, text := range []string{"", "\n", "0\n0\n", "0\n0"} {
		offsets, err := parseOffsets([]byte(text))
		require.NoError(t, err, "%q", text)
		require.Empty(t, offsets)
	}
	for _, text := range []string{"0\n2\n2 0\n1 5\n", "0\n2\n1 5\n2 4\n", "0\n1\n-1 5\n"} {
		_, err := parseEpochs([]byte(text))
		require.ErrorIs(t, err, errMalformedCheckpoint, "%q", text)
	}
}

// TestCrashDuringACheckpointLeavesTheOldOrTheNewOne crashes before each file system operation, in every
// way that a crash can end.
func TestCrashDuringACheckpointLeavesTheOldOrTheNewOne(t *testing.T) {
	m := vfs.NewMem()
	require.NoError(t, m.MkdirAll("/d", 0o755))
	require.NoError(t, m.SyncDir("/"))
	old, updated := []byte("old"), []byte("the new content")
	require.NoError(t, writeAtomic(m, "/d/f", old))
	var crashes []*vfs.Mem
	hook := vfs.Faulty(m, func(vfs.Op, string, int) error {
		crashes = append(crashes, m.CrashClone(vfs.CrashOptions{}), m.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepAll}))
		for seed := range uint64(20) {
			crashes = append(crashes, m.CrashClone(vfs.CrashOptions{Unsynced: vfs.KeepRandom, Seed: seed}))
		}
		return nil
	})
	require.NoError(t, writeAtomic(hook, "/d/f", updated))
	for _, c := range crashes {
		data, err := c.ReadFile("/d/f")
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, old) || bytes.Equal(data, updated), "%q", data)
	}
	require.Greater(t, len(crashes), 100)
	data, err := m.CrashClone(vfs.CrashOptions{}).ReadFile("/d/f")
	require.NoError(t, err)
	require.Equal(t, updated, data, "durable once written")
}

func TestFailedCheckpointIsAnErrorAndKeepsTheOldOne(t *testing.T) {
	broken := errors.New("broken disk")
	for _, op := range []vfs.Op{vfs.OpOpen, vfs.OpWrite, vfs.OpSync, vfs.OpRename} {
		m := vfs.NewMem()
		require.NoError(t, writeAtomic(m, "/f", []byte("old")))
		require.ErrorIs(t, writeAtomic(vfs.Faulty(m, vfs.FailNth(op, "", 1, false, broken)), "/f", []byte("new")), broken, op)
		data, err := m.ReadFile("/f")
		require.NoError(t, err)
		require.Equal(t, "old", string(data))
	}
	m := vfs.NewMem()
	require.ErrorIs(t, writeAtomic(vfs.Faulty(m, vfs.FailNth(vfs.OpSyncDir, "", 1, false, broken)), "/f", []byte("new")), broken)
}

func TestMetaPropertiesRoundTrip(t *testing.T) {
	m := vfs.NewMem()
	id, err := newUUID(rand.Reader)
	require.NoError(t, err)
	want := metaProperties{"MkU3OEVBNTcwNTJENDM2Qk", 3, id}
	require.NoError(t, want.write(m, "/", time.Unix(1_700_000_000, 0)))
	data, err := m.ReadFile("/meta.properties")
	require.NoError(t, err)
	require.Equal(t, "#\n#Tue Nov 14 22:13:20 UTC 2023\ncluster.id=MkU3OEVBNTcwNTJENDM2Qk\ndirectory.id="+formatUUID(id)+"\nnode.id=3\nversion=1\n", string(data))
	got, err := readMetaProperties(m, "/")
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = readMetaProperties(m, "/none")
	require.ErrorIs(t, err, fs.ErrNotExist)

	got, err = parseMetaProperties("! c\r\n  cluster.id : a\\u0042\\\n   c\nnode.id 7\nversion=1")
	require.NoError(t, err)
	require.Equal(t, metaProperties{ClusterID: "aBc", NodeID: 7}, got)
	for _, text := range []string{"", "version=0\nbroker.id=1", "version=1\ncluster.id=x", "version=1\nnode.id=1", "version=1\ncluster.id=x\nnode.id=-1", "version=1\ncluster.id=x\nnode.id=1\ndirectory.id=short"} {
		_, err := parseMetaProperties(text)
		require.ErrorIs(t, err, errMalformedFile, text)
	}
}

func TestPartitionMetadataIsKafkasText(t *testing.T) {
	m := vfs.NewMem()
	require.NoError(t, writePartitionMetadata(m, "/", UUID{15: 1}))
	data, err := m.ReadFile("/partition.metadata")
	require.NoError(t, err)
	require.Equal(t, "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ", string(data))
	id, err := readPartitionMetadata(m, "/")
	require.NoError(t, err)
	require.Equal(t, UUID{15: 1}, id)
	for _, text := range []string{"", "version: 0", "version: -1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "version: 0\ntopic_id: x", "version:0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"} {
		_, err := parsePartitionMetadata(text)
		require.ErrorIs(t, err, errMalformedFile, text)
	}
}

func TestCleanShutdownMarkerCountsEvenWhenItCannotBeRead(t *testing.T) {
	m := vfs.NewMem()
	present, epoch, err := readCleanShutdown(m, "/")
	require.NoError(t, err)
	require.False(t, present)
	require.Equal(t, int64(-1), epoch)
	require.NoError(t, writeCleanShutdown(m, "/", 42))
	data, err := m.ReadFile("/.kafka_cleanshutdown")
	require.NoError(t, err)
	require.Equal(t, `{"version":0,"brokerEpoch":42}`, string(data))
	present, epoch, err = readCleanShutdown(m, "/")
	require.NoError(t, err)
	require.True(t, present)
	require.Equal(t, int64(42), epoch)
	require.NoError(t, writeInPlace(m, "/.kafka_cleanshutdown", nil, true))
	present, epoch, err = readCleanShutdown(m, "/")
	require.NoError(t, err)
	require.True(t, present)
	require.Equal(t, int64(-1), epoch)
	require.NoError(t, removeCleanShutdown(m, "/"))
	require.NoError(t, removeCleanShutdown(m, "/"))
	_, err = m.CrashClone(vfs.CrashOptions{}).Stat("/.kafka_cleanshutdown")
	require.ErrorIs(t, err, fs.ErrNotExist, "gone for good")
}

func TestRandomIDsAreNeverReservedNorLookLikeOptions(t *testing.T) {
	// 0xf8... is "-" in base64url: the first try is thrown away.
	first := bytes.Repeat([]byte{0xf8}, 16)
	second := bytes.Repeat([]byte{0x11}, 16)
	id, err := newUUID(bytes.NewReader(append(first, second...)))
	require.NoError(t, err)
	require.Equal(t, byte(0x11), id[0])
	require.Equal(t, byte(4), id[6]>>4)
	back, err := parseUUID(formatUUID(id))
	require.NoError(t, err)
	require.Equal(t, id, back)
	_, err = newUUID(bytes.NewReader(first))
	require.Error(t, err)
}
