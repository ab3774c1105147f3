//go:build powerloss

package killtest

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/brokerproc"
)

// twoDirs is a broker whose metadata and first log directory are on the machine's disk, and the second on d.
func twoDirs(t *testing.T, d *disk, properties ...string) (b *brokerproc.Broker, good, bad int32) {
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(d.dir, "second")
	b, err := brokerproc.New(t.TempDir(), append(properties, "log.dirs="+first+","+second, "metadata.log.dir="+first)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Kill() })
	require.NoError(t, b.Run())
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 2, 1, nil, topic)
	require.NoError(t, err)
	_, err = kadm.NewClient(cl).DescribeAllLogDirs(t.Context(), nil) // the answer waits until the logs are there
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(second, topic+"-0"))
	if err == nil {
		return b, 1, 0
	}
	_, err = os.Stat(filepath.Join(second, topic+"-1"))
	require.NoError(t, err, "neither partition is in the second directory")
	return b, 0, 1
}

// fillUntilError produces numbered records of a size one by one and returns how many were acknowledged, with the
// error that ended it.
func fillUntilError(t *testing.T, b *brokerproc.Broker, partition int32, from int64, size, most int) (acked int64, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DisableIdempotentWrite(), kgo.RecordRetries(0), kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	defer cl.Close()
	for acked < int64(most) {
		value := binary.BigEndian.AppendUint64(make([]byte, 0, size), uint64(from+acked))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := cl.ProduceSync(ctx, &kgo.Record{Partition: partition, Value: value[:size]}).FirstErr()
		cancel()
		if err != nil {
			return acked, err
		}
		acked++
	}
	return acked, nil
}

// numbers reads a partition whole and requires the numbers 0, 1, 2, …; it returns how many there are.
func numbers(t *testing.T, b *brokerproc.Broker, partition int32) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(0)}}))
	require.NoError(t, err)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	end, _ := ends.Lookup(topic, partition)
	require.NoError(t, end.Err)
	next := int64(0)
	for next < end.Offset {
		fetches := cl.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		for _, rec := range fetches.Records() {
			require.Equal(t, next, rec.Offset)
			require.Equal(t, uint64(next), binary.BigEndian.Uint64(rec.Value))
			next++
		}
	}
	return next
}

// TestDiskFullOfOneDirLeavesTheOtherServing fills the second directory's disk under a producer.
func TestDiskFullOfOneDirLeavesTheOtherServing(t *testing.T) {
	d := newDisk(t, 48)
	filler := filepath.Join(d.dir, "filler")
	require.NoError(t, os.WriteFile(filler, make([]byte, 16<<20), 0o600))
	b, good, bad := twoDirs(t, d)
	acked, err := fillUntilError(t, b, bad, 0, 300_000, 1000)
	require.ErrorIs(t, err, kerr.KafkaStorageError)
	require.Greater(t, acked, int64(10))
	n, err := fillUntilError(t, b, good, 0, 1000, 100)
	require.NoError(t, err, "the other directory serves")
	require.EqualValues(t, 100, n)
	require.EqualValues(t, 100, numbers(t, b, good))
	_, err = fillUntilError(t, b, bad, acked, 10, 1)
	require.ErrorIs(t, err, kerr.KafkaStorageError, "the directory stays offline")
	require.NoError(t, b.Stop())

	require.NoError(t, os.Remove(filler))
	require.NoError(t, b.Run())
	there := numbers(t, b, bad)
	require.GreaterOrEqual(t, there, acked, "acknowledged records")
	require.EqualValues(t, 100, numbers(t, b, good))
	more, err := fillUntilError(t, b, bad, there, 300_000, 10)
	require.NoError(t, err, "with space again it takes records")
	require.EqualValues(t, there+more, numbers(t, b, bad))
	t.Logf("%d records acknowledged before the disk was full, %d there after the restart", acked, there)
}

// TestDiskFullOfTheOnlyDirStopsTheBrokerAndARestartRecovers also has the metadata on the full disk.
func TestDiskFullOfTheOnlyDirStopsTheBrokerAndARestartRecovers(t *testing.T) {
	d := newDisk(t, 48)
	filler := filepath.Join(d.dir, "filler")
	require.NoError(t, os.WriteFile(filler, make([]byte, 16<<20), 0o600))
	b, err := brokerproc.New(t.TempDir(), "log.dirs="+filepath.Join(d.dir, "data"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Kill() })
	require.NoError(t, b.Run())
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, topic)
	require.NoError(t, err)
	acked, err := fillUntilError(t, b, 0, 0, 300_000, 1000)
	require.Error(t, err)
	require.Eventually(t, func() bool { return !b.Running() }, 10*time.Second, 10*time.Millisecond, "every directory is offline: the broker ends")
	require.NoError(t, os.Remove(filler))
	require.NoError(t, b.Run())
	require.GreaterOrEqual(t, numbers(t, b, 0), acked)
	t.Logf("%d records acknowledged before the disk was full (%v)", acked, err)
}

// TestFailedFsyncTakesTheDirectoryOfflineAtOnce lets strace fail one fdatasync of a partition's segment.
func TestFailedFsyncTakesTheDirectoryOfflineAtOnce(t *testing.T) {
	d := newDisk(t, 256)
	b, good, bad := twoDirs(t, d, "log.flush.interval.messages=1")
	acked, err := fillUntilError(t, b, bad, 0, 1000, 20)
	require.NoError(t, err)
	segment := filepath.Join(d.dir, "second", topic+"-"+strconv.Itoa(int(bad)), "00000000000000000000.log")
	trace := filepath.Join(t.TempDir(), "trace")
	strace := exec.Command("strace", "-f", "-p", strconv.Itoa(b.Pid()), "-o", trace, "-P", segment,
		"-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1")
	require.NoError(t, brokerproc.StartBound(strace))
	t.Cleanup(func() { _ = strace.Process.Kill() })
	time.Sleep(500 * time.Millisecond)
	more, err := fillUntilError(t, b, bad, acked, 1000, 50)
	require.ErrorIs(t, err, kerr.KafkaStorageError)
	acked += more
	_, err = fillUntilError(t, b, bad, acked, 1000, 1)
	require.ErrorIs(t, err, kerr.KafkaStorageError)
	n, err := fillUntilError(t, b, good, 0, 1000, 20)
	require.NoError(t, err, "the other directory serves")
	require.EqualValues(t, 20, n)
	require.True(t, b.Running())
	require.NoError(t, strace.Process.Signal(syscall.SIGINT))
	_ = strace.Wait()
	calls, err := os.ReadFile(trace)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(calls), "fdatasync("), "never tried again:\n%s", calls)
	require.NoError(t, b.Kill())
	require.NoError(t, b.Run())
	require.GreaterOrEqual(t, numbers(t, b, bad), acked)
	require.EqualValues(t, 20, numbers(t, b, good))
	require.Contains(t, b.Log(), "log directory is offline")
}

// TestDirThatCannotBeReadAtStartIsOfflineAlone: its partitions answer KAFKA_STORAGE_ERROR and are not made anew, empty,
// in the other directory.
func TestDirThatCannotBeReadAtStartIsOfflineAlone(t *testing.T) {
	d := newDisk(t, 64)
	b, good, bad := twoDirs(t, d)
	for _, p := range []int32{good, bad} {
		_, err := fillUntilError(t, b, p, 0, 1000, 20)
		require.NoError(t, err)
	}
	require.NoError(t, b.Stop())
	require.NoError(t, d.cutPower()) // every access is EIO
	require.NoError(t, b.Run())
	require.EqualValues(t, 20, numbers(t, b, good))
	_, err := fillUntilError(t, b, bad, 20, 1000, 1)
	require.ErrorIs(t, err, kerr.KafkaStorageError)
	require.NoError(t, b.Stop())
	d.remount()
	require.NoError(t, b.Run())
	require.EqualValues(t, 20, numbers(t, b, good))
	require.EqualValues(t, 20, numbers(t, b, bad))
}
