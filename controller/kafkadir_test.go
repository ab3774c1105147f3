package controller

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/metadata"
)

const logDir = "/data/" + metadataLogName

// put writes a file durably.
func put(t testing.TB, fsys vfs.FS, path string, data []byte) {
	t.Helper()
	require.NoError(t, fsys.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, writeDurably(fsys, path, data))
}

// kafkaDir is a data directory that Apache Kafka 4.4.0 wrote.
func kafkaDir(t testing.TB, kind string) *vfs.Mem {
	fsys := newDataDir(t)
	from := filepath.Join("testdata", "kafka-4.4.0", kind)
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		require.NoError(t, err)
		put(t, fsys, filepath.Join(logDir, e.Name()), data)
	}
	return fsys
}

func TestDirectoryOfApacheKafkaIsTakenOver(t *testing.T) {
	for kind, want := range map[string]struct {
		state string
		end   int64
	}{
		"static":     {`{"clusterId":"","leaderId":1,"leaderEpoch":4,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}`, 81},
		"standalone": {`{"leaderId":1,"leaderEpoch":4,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}`, 82},
	} {
		t.Run(kind, func(t *testing.T) {
			fsys := kafkaDir(t, kind)
			c := open(t, testOptions(t, fsys))
			topic := c.Image().TopicByName("t1")
			require.Len(t, topic.Partitions, 2)
			require.Equal(t, metadata.NoLeader, topic.Partitions[0].Leader, "Kafka stopped as it should")
			require.Equal(t, []int32{1}, topic.Partitions[0].ELR)
			require.Nil(t, c.Image().TopicByName("t2"))
			require.Equal(t, map[string]string{"retention.ms": "1000000"}, c.Image().Configs(metadata.Resource{Type: metadata.ResourceTopic, Name: "t1"}))
			require.Equal(t, "2000000", c.Image().Configs(metadata.Resource{Type: metadata.ResourceBroker})["message.max.bytes"])
			require.True(t, c.Image().Broker(1).Fenced)
			require.Equal(t, want.end, c.Image().Offset, "our leader change, and no second bootstrap")

			boot(t, c)
			require.Equal(t, int32(1), c.Image().TopicByName("t1").Partitions[1].Leader)
			c.takeSnapshotAndWait(t)
			require.NoError(t, c.Close())
			state, err := fsys.ReadFile(filepath.Join(logDir, quorumStateName))
			require.NoError(t, err)
			require.Equal(t, want.state, string(state))

			before := contents(c.Image())
			ids, err := listSnapshots(fsys, logDir)
			require.NoError(t, err)
			require.Len(t, ids, 1)
			s, err := readSnapshot(fsys, logDir, ids[0])
			require.NoError(t, err)
			require.Len(t, s.controls, map[string]int{"static": 0, "standalone": 2}[kind], "KRaftVersion and voters are carried on")
			c = open(t, testOptions(t, fsys))
			require.Equal(t, before, contents(c.Image()))
			require.NoError(t, c.Close())
		})
	}
}

// takeSnapshotAndWait makes the loop take a snapshot and waits for it to be written.
func (c *Controller) takeSnapshotAndWait(t testing.TB) {
	t.Helper()
	end := c.Image().Offset + 1
	ask := func() (newest int64) {
		done := &change{done: make(chan error, 1), call: func() {
			newest = c.newest.EndOffset
			c.takeSnapshot()
		}}
		require.NoError(t, c.submit(t.Context(), done, 0))
		return newest
	}
	require.Eventually(t, func() bool { return ask() == end }, 5e9, 1e6)
}

func TestBootstrapCheckpointOfKafkaBefore44IsRead(t *testing.T) {
	fsys := newDataDir(t)
	records := []metadata.Record{
		&metadata.FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 30},
		&metadata.UserScramCredentialRecord{Name: "alice", Mechanism: 1, Salt: []byte{1}, StoredKey: []byte{2}, ServerKey: []byte{3}, Iterations: 4096},
	}
	data, err := encodeRecords(records, 30, 0)
	require.NoError(t, err)
	put(t, fsys, "/data/bootstrap.checkpoint", data)
	c := open(t, testOptions(t, fsys))
	require.Equal(t, map[string]int16{"metadata.version": 30}, c.Image().Features())
	require.Contains(t, contents(c.Image()), string(metadata.AppendRecord(nil, records[1], 0)))
	require.NoError(t, c.Close())
}

// damaged opens a directory after change, and requires that it is refused and left as it was.
func refused(t *testing.T, fsys *vfs.Mem, message string) {
	t.Helper()
	list := func() map[string]string {
		out := map[string]string{}
		entries, err := fsys.ReadDir(logDir)
		require.NoError(t, err)
		for _, e := range entries {
			data, err := fsys.ReadFile(filepath.Join(logDir, e.Name()))
			require.NoError(t, err)
			out[e.Name()] = string(data)
		}
		return out
	}
	before := list()
	_, err := Open(t.Context(), testOptions(t, fsys))
	require.ErrorContains(t, err, message)
	require.Equal(t, before, list(), "nothing on disk was changed")
}

func TestDamageInTheMiddleOfTheLogIsNotCutOff(t *testing.T) {
	fsys := kafkaDir(t, "static")
	path := filepath.Join(logDir, "00000000000000000000.log")
	log, err := fsys.ReadFile(path)
	require.NoError(t, err)
	log[len(log)/2] ^= 1
	put(t, fsys, path, log)
	refused(t, fsys, "the metadata log is damaged in its middle")
}

func TestTornTailIsCutOff(t *testing.T) {
	for cut := 1; cut < 90; cut += 7 {
		fsys := kafkaDir(t, "static")
		path := filepath.Join(logDir, "00000000000000000000.log")
		log, err := fsys.ReadFile(path)
		require.NoError(t, err)
		put(t, fsys, path, log[:len(log)-cut])
		c := open(t, testOptions(t, fsys))
		require.NotNil(t, c.Image().TopicByName("t1"))
		boot(t, c)
		require.NoError(t, c.Close())
		c = open(t, testOptions(t, fsys))
		require.False(t, c.Image().Broker(1).Fenced)
		require.NoError(t, c.Close())
	}
}

// appendBatch puts a batch at the end of the log as it is.
func appendBatch(t *testing.T, fsys *vfs.Mem, key, value []byte, control bool) {
	t.Helper()
	path := filepath.Join(logDir, "00000000000000000000.log")
	log, err := fsys.ReadFile(path)
	require.NoError(t, err)
	put(t, fsys, path, append(log, rawBatch(t, 81, key, value, control)...))
}

func TestRecordOfANewerServerStopsTheStart(t *testing.T) {
	for message, value := range map[string][]byte{
		"metadata record of unknown key 99, version 0":       {1, 99, 0},
		"*metadata.TopicRecord (key 2) of unknown version 1": {1, 2, 1},
		"unknown frame version 2":                            {2, 2, 0},
		"offset 81":                                          {1, 2, 0, 40},
	} {
		fsys := kafkaDir(t, "static")
		appendBatch(t, fsys, nil, value, false)
		refused(t, fsys, message)
	}
	fsys := kafkaDir(t, "static")
	appendBatch(t, fsys, []byte{0, 0, 0, 77}, []byte{0, 0}, true)
	refused(t, fsys, "unknown control record: type 77")
}

func TestSnapshotThatWasNotWrittenToItsEndStopsTheStart(t *testing.T) {
	fsys := kafkaDir(t, "static")
	path := filepath.Join(logDir, snapshotID{}.name()+checkpointSuffix)
	data, err := fsys.ReadFile(path)
	require.NoError(t, err)
	put(t, fsys, path, data[:336]) // without the footer batch
	refused(t, fsys, "it was not written to its end")
	data[200] ^= 1
	put(t, fsys, path, data)
	refused(t, fsys, "wrong CRC")
}

func TestLogWithoutTheSnapshotBelowItStopsTheStart(t *testing.T) {
	fsys := kafkaDir(t, "static")
	log, err := fsys.ReadFile(filepath.Join(logDir, "00000000000000000000.log"))
	require.NoError(t, err)
	first, err := checkBatch(log)
	require.NoError(t, err)
	put(t, fsys, filepath.Join(logDir, "00000000000000000001.log"), log[len(first):])
	require.NoError(t, fsys.Remove(filepath.Join(logDir, "00000000000000000000.log")))
	refused(t, fsys, "the log starts at offset 1, but the newest snapshot ends at 0")
}

func TestTransactionThatKafkaLeftOpenIsAborted(t *testing.T) {
	fsys := kafkaDir(t, "static")
	path := filepath.Join(logDir, "00000000000000000000.log")
	log, err := fsys.ReadFile(path)
	require.NoError(t, err)
	open1, err := encodeRecords([]metadata.Record{
		&metadata.BeginTransactionRecord{}, &metadata.TopicRecord{Name: "half", TopicID: metadata.UUID{1}},
	}, 33, 0)
	require.NoError(t, err)
	put(t, fsys, path, append(log, stamped(open1, 81, 3)...))
	c := open(t, testOptions(t, fsys))
	require.Nil(t, c.Image().TopicByName("half"))
	require.Equal(t, int64(84), c.Image().Offset, "two records, the leader change, the abort")
	boot(t, c)
	code, err := createTopic(c, "half", 1)
	require.NoError(t, err)
	require.Zero(t, code)
	require.NoError(t, c.Close())
	c = open(t, testOptions(t, fsys))
	require.NotNil(t, c.Image().TopicByName("half"))
	require.NoError(t, c.Close())
}

func TestFeatureLevelOfANewerServerStopsTheStart(t *testing.T) {
	for message, r := range map[string]*metadata.FeatureLevelRecord{
		"feature metadata.version has level 34, and this server knows 7 to 33": {Name: "metadata.version", FeatureLevel: 34},
		"feature metadata.version has level 6, and this server knows 7 to 33":  {Name: "metadata.version", FeatureLevel: 6},
		"metadata.version is 16: records are written from 17 on":               {Name: "metadata.version", FeatureLevel: 16},
		"feature share.version has level 3, and this server knows 0 to 2":      {Name: "share.version", FeatureLevel: 3},
		"feature mirror.version has level 1, and this server does not know it": {Name: "mirror.version", FeatureLevel: 1},
	} {
		fsys := kafkaDir(t, "static")
		appendBatch(t, fsys, nil, metadata.AppendRecord(nil, r, 0), false)
		refused(t, fsys, message)
	}
	fsys := kafkaDir(t, "static")
	appendBatch(t, fsys, nil, metadata.AppendRecord(nil, &metadata.FeatureLevelRecord{Name: "mirror.version"}, 0), false)
	require.NoError(t, open(t, testOptions(t, fsys)).Close(), "level 0 is that of a feature not in use")
}

func TestQuorumWithOtherVotersStopsTheStart(t *testing.T) {
	fsys := kafkaDir(t, "static")
	put(t, fsys, filepath.Join(logDir, quorumStateName), []byte(
		`{"clusterId":"","leaderId":1,"leaderEpoch":3,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":2}],"data_version":0}`))
	refused(t, fsys, "its quorum has the voters [1 2]")
	fsys = kafkaDir(t, "standalone")
	o := testOptions(t, fsys)
	o.NodeID = 2
	_, err := Open(t.Context(), o)
	require.ErrorContains(t, err, "its quorum has the voters [1]: only a quorum of this node alone (2) is served")
}

func TestImageKnowsTheKRaftVersion(t *testing.T) {
	for kind, want := range map[string]int16{"static": 0, "standalone": 1} {
		c := open(t, testOptions(t, kafkaDir(t, kind)))
		boot(t, c)
		require.Equal(t, want, c.Image().KRaftVersion, kind)
		require.NoError(t, c.Close())
	}
}
