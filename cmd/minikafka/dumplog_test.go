package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/internal/vfs"
	"minikafka/logstore"
	"minikafka/metadata"
	"minikafka/protocol"
)

// dump runs kafka-dump-log.
func dump(args ...string) (out, errOut string, err error) {
	cmd := command("kafka-dump-log.sh")
	var o, e bytes.Buffer
	cmd.SetOut(&o)
	cmd.SetErr(&e)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return o.String(), e.String(), err
}

// someLog is a closed log with two segments of batches, and returns its directory.
func someLog(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "topic-0")
	l, err := logstore.OpenLog(context.Background(), logstore.LogOptions{
		FS: vfs.OS(), Dir: dir, TopicPartition: logstore.TopicPartition{Topic: "topic"}, TopicID: logstore.UUID{1},
		Config: logstore.Config{SegmentBytes: 2000, IndexIntervalBytes: 100},
	})
	require.NoError(t, err)
	for i := range 20 {
		var b protocol.Builder
		b.Reset(protocol.BuilderOptions{ProducerID: 7, ProducerEpoch: 1, BaseSequence: int32(i * 2), Codec: protocol.Codec(i % 5)})
		b.Append(int64(1000+i), []byte("key"), bytes.Repeat([]byte("value"), 20), []protocol.RecordHeader{{Key: "h1"}, {Key: "h2"}})
		b.Append(int64(1000+i), nil, nil, nil)
		batch, err := b.AppendTo(nil)
		require.NoError(t, err)
		_, err = l.Append(batch, 0, logstore.OriginClient, -1)
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())
	return dir
}

func all(t *testing.T, dir string) string {
	t.Helper()
	var files []string
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		files = append(files, filepath.Join(dir, e.Name()))
	}
	require.Greater(t, len(files), 7)
	return strings.Join(files, ",")
}

func TestDumpLogPrintsBatchesRecordsAndIndexes(t *testing.T) {
	dir := someLog(t)
	out, errOut, err := dump("--files", all(t, dir), "--print-data-log")
	require.NoError(t, err, errOut)
	require.Empty(t, errOut)
	for _, want := range []string{
		"Log starting offset: 0\nbaseOffset: 0 lastOffset: 1 count: 2 baseSequence: 0 lastSequence: 1 producerId: 7 producerEpoch: 1 partitionLeaderEpoch: 0 " +
			"isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 1000 size: ",
		" magic: 2 compresscodec: zstd crc: ", " isvalid: true\n",
		"| offset: 0 CreateTime: 1000 keySize: 3 valueSize: 100 sequence: 0 headerKeys: [h1,h2] key: key payload: value",
		"| offset: 39 CreateTime: 1019 keySize: -1 valueSize: -1 sequence: 39 headerKeys: []\n",
		"\noffset: 3 position: ", "\ntimestamp: 1001 offset: 3\n",
		"producerId: 7 producerEpoch: 1 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong.empty lastTimestamp: 1019 firstSequence: 38 lastSequence: 39 lastOffset: 39 offsetDelta: 1 timestamp: 1019\n",
		"\nepoch: 0 startOffset: 0\n", "\ntopicId: AQAAAAAAAAAAAAAAAAAAAA\n",
	} {
		require.Contains(t, out, want)
	}
}

// TestDumpLogFailsWhenAnythingIsWrong damages one file at a time.
func TestDumpLogFailsWhenAnythingIsWrong(t *testing.T) {
	for name, damage := range map[string]struct {
		file  string
		do    func(b []byte) []byte
		finds string
	}{
		"checksum":            {"00000000000000000000.log", func(b []byte) []byte { b[100] ^= 1; return b }, "wrong checksum"},
		"torn tail":           {"00000000000000000000.log", func(b []byte) []byte { return b[:len(b)-3] }, "invalid bytes at the end of 00000000000000000000.log"},
		"zero tail":           {"00000000000000000000.log", func(b []byte) []byte { return append(b, make([]byte, 100)...) }, "Found 100 invalid bytes"},
		"index position":      {"00000000000000000000.index", func(b []byte) []byte { b[7]++; return b }, "Mismatches in :"},
		"index order":         {"00000000000000000000.index", func(b []byte) []byte { b[3] = 255; return b }, "corrupt index file"},
		"time index":          {"00000000000000000000.timeindex", func(b []byte) []byte { b[7]--; return b }, "Found timestamp mismatch in :"},
		"time index's offset": {"00000000000000000000.timeindex", func(b []byte) []byte { b[11]--; return b }, "The following indexed offsets are not found in the log"},
		"snapshot":            {"00000000000000000040.snapshot", func(b []byte) []byte { b[20] ^= 1; return b }, "corrupt producer snapshot"},
		"epochs":              {"leader-epoch-checkpoint", func(b []byte) []byte { return append(b, "x\n"...) }, "malformed checkpoint"},
		"topic id":            {"partition.metadata", func([]byte) []byte { return []byte("version: 0\n") }, "partition.metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := someLog(t)
			path := filepath.Join(dir, damage.file)
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, damage.do(data), 0o600))
			out, errOut, err := dump("--files", all(t, dir))
			require.ErrorIs(t, err, errDump)
			require.Contains(t, out+errOut, damage.finds)
		})
	}
}

func TestDumpLogLimitsAndQuietModes(t *testing.T) {
	dir := someLog(t)
	log, index := filepath.Join(dir, "00000000000000000000.log"), filepath.Join(dir, "00000000000000000000.index")
	out, _, err := dump("--files", log, "--max-bytes", "400")
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(out, "baseOffset: "))
	out, _, err = dump("--files", index, "--verify-index-only")
	require.NoError(t, err)
	require.Equal(t, "Dumping "+index+"\n", out)
	out, _, err = dump("--files", index, "--index-sanity-check")
	require.NoError(t, err)
	require.Equal(t, "Dumping "+index+"\n"+index+" passed sanity check.\n", out)
	_, _, err = dump("--files", filepath.Join(dir, "missing.log"))
	require.Error(t, err)
	_, errOut, err := dump("--files", os.Args[0])
	require.NoError(t, err)
	require.Contains(t, errOut, "Ignoring unknown file")
	_, _, err = dump()
	require.Error(t, err)
}

// TestEveryMetadataRecordIsPrintedInEveryVersion takes the codecs' word for what a record is.
func TestEveryMetadataRecordIsPrintedInEveryVersion(t *testing.T) {
	schemas, err := loadRecordSchemas()
	require.NoError(t, err)
	require.Greater(t, len(schemas.metadata), 25)
	for key, schema := range schemas.metadata {
		for version := int64(0); version <= schema.most; version++ {
			bare := []byte{1, byte(key), byte(version)}
			bare = append(bare, make([]byte, 200)...) // no field is longer than this, and all zero is valid for none but lengths
			_, _, err := metadata.DecodeRecord(bare)
			var unknown *metadata.UnknownRecordError
			require.False(t, err != nil && errors.As(err, &unknown), "%s v%d is unknown to the codecs", schema.name, version)
			layout, err := schema.layout(version)
			require.NoError(t, err)
			require.True(t, layout.flexible)
		}
	}
	rack := "r1 \"quoted\" é"
	value := metadata.AppendRecord(nil, &metadata.RegisterBrokerRecord{BrokerID: 3, Rack: &rack, EndPoints: []metadata.BrokerEndpoint{{Name: "N", Host: "h", Port: 65535}}}, 1)
	text, err := schemas.metadataJSON(value)
	require.NoError(t, err)
	require.True(t, json.Valid([]byte(text)), text)
	require.Contains(t, text, `{"type":"REGISTER_BROKER_RECORD","version":1,"data":{"brokerId":3,"incarnationId":"AAAAAAAAAAAAAAAAAAAAAA"`)
	require.Contains(t, text, `"endPoints":[{"name":"N","host":"h","port":65535,"securityProtocol":0}]`)
	require.Contains(t, text, `"rack":"r1 \"quoted\" é"`)
	for n := range value {
		_, err := schemas.metadataJSON(value[:n])
		require.Error(t, err, "%d bytes", n)
	}
	_, err = schemas.metadataJSON(append(value, 0))
	require.ErrorContains(t, err, "garbage")
	_, err = schemas.metadataJSON([]byte{1, 120, 0})
	require.ErrorContains(t, err, "unknown metadata id 120")
}

func TestRecordSchemasAreTheGenerators(t *testing.T) {
	source, err := os.ReadFile("../../internal/gen/record-schemas-4.4.0.txt")
	require.NoError(t, err)
	require.Equal(t, string(source), recordSchemaText, "go generate ./cmd/minikafka")
}

func TestDoublesArePrintedAsJavaDoes(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0.0", 1: "1.0", -2.5: "-2.5", 1024: "1024.0", 1e7: "1.0E7", 12345678: "1.2345678E7", 0.001: "0.001", 0.0001: "1.0E-4", 9999999: "9999999.0",
	} {
		require.Equal(t, want, javaDouble(v))
	}
}

func FuzzMetadataJSON(f *testing.F) {
	schemas, err := loadRecordSchemas()
	require.NoError(f, err)
	f.Add(metadata.AppendRecord(nil, &metadata.TopicRecord{Name: "t"}, 0))
	f.Add([]byte{1, 0, 4, 0, 0, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		text, err := schemas.metadataJSON(value)
		if err == nil {
			require.True(t, json.Valid([]byte(text)), text)
		}
		_, _ = schemas.controlJSON("VotersRecord", value)
	})
}
