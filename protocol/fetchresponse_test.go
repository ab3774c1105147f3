package protocol

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fakeSource is a source that counts its releases.
type fakeSource struct {
	loaded
	err      error
	released int
}

func (s *fakeSource) AppendTo(dst []byte) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.loaded.AppendTo(dst)
}
func (s *fakeSource) Release() { s.released++ }

// randomFetch is a response with the records both in kmsg's fields and in sources.
func randomFetch(rng *rand.Rand, version int16) *FetchResponse {
	k := kmsg.NewPtrFetchResponse()
	(&filler{rng: rng, wide: 3}).fill(reflect.ValueOf(k).Elem(), 0)
	k.Version = version
	if version < 16 {
		k.Brokers = nil
	}
	r := &FetchResponse{FetchResponse: k}
	for t := range k.Topics {
		for p := range k.Topics[t].Partitions {
			row := &k.Topics[t].Partitions[p]
			if rng.IntN(2) == 0 {
				row.DivergingEpoch.Default()
				row.DivergingEpoch.UnknownTags = kmsg.Tags{}
			}
			if rng.IntN(2) == 0 {
				row.CurrentLeader.Default()
				row.CurrentLeader.UnknownTags = kmsg.Tags{}
			}
			if rng.IntN(2) == 0 {
				row.SnapshotID.Default()
				row.SnapshotID.UnknownTags = kmsg.Tags{}
			}
			row.RecordBatches = make([]byte, rng.IntN(400)) // never null
			for i := range row.RecordBatches {
				row.RecordBatches[i] = byte(rng.Uint32())
			}
			var source RecordSource
			if len(row.RecordBatches) > 0 || rng.IntN(2) == 0 {
				source = &fakeSource{loaded: row.RecordBatches}
			}
			r.Sources = append(r.Sources, source)
		}
	}
	return r
}

func join(parts []Part) (all []byte) {
	for _, p := range parts {
		if p.Source != nil {
			all, _ = p.Source.AppendTo(all)
		}
		all = append(all, p.Bytes...)
	}
	return all
}

func TestFetchResponsePartsAreKmsgsBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for version := int16(4); version <= 18; version++ {
		for range 60 {
			r := randomFetch(rng, version)
			want := r.FetchResponse.AppendTo(nil)
			parts, size := r.AppendParts(nil)
			require.Equal(t, want, join(parts), "version %d", version)
			require.Equal(t, len(want), size)
			for _, p := range parts {
				require.True(t, (p.Source == nil) != (len(p.Bytes) == 0), "bytes or a source")
				if p.Source != nil {
					require.Zero(t, p.Source.(*fakeSource).released, "who sends releases")
				}
			}

			head := append(make([]byte, 0, 4096), "header"...)
			parts, size = r.AppendParts([]Part{{Bytes: head}})
			require.Equal(t, append([]byte("header"), want...), join(parts))
			require.Equal(t, len(want), size)
			parts, _ = r.AppendParts([]Part{{Bytes: []byte("before")}, {Source: loaded("source")}})
			require.Equal(t, append([]byte("beforesource"), want...), join(parts))

			require.Equal(t, append([]byte("x"), want...), r.AppendTo([]byte("x")))
			require.Equal(t, want, r.AppendTo(nil), "once more")
		}
	}
}

func TestSmallFetchResponseUsesTheBufferOfItsHeader(t *testing.T) {
	r := &FetchResponse{FetchResponse: kmsg.NewPtrFetchResponse()}
	r.Version = 12
	r.Topics = []kmsg.FetchResponseTopic{{Topic: "t", Partitions: []kmsg.FetchResponseTopicPartition{kmsg.NewFetchResponseTopicPartition()}}}
	buffer := make([]byte, 9, 512)
	in := make([]Part, 1, 4)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		in[0] = Part{Bytes: buffer}
		parts, _ := r.AppendParts(in)
		if len(parts) != 1 || &parts[0].Bytes[0] != &buffer[0] {
			t.Fatal("another buffer")
		}
	}))
}

func TestPartitionWithoutSourceHasEmptyRecordsNotNull(t *testing.T) {
	for _, version := range []int16{4, 11, 12, 18} {
		r := &FetchResponse{FetchResponse: kmsg.NewPtrFetchResponse()}
		r.Version = version
		r.Topics = []kmsg.FetchResponseTopic{{Partitions: []kmsg.FetchResponseTopicPartition{kmsg.NewFetchResponseTopicPartition()}}}
		parts, _ := r.AppendParts(nil)
		got := kmsg.NewPtrFetchResponse()
		got.Version = version
		require.NoError(t, got.ReadFrom(join(parts)))
		require.NotNil(t, got.Topics[0].Partitions[0].RecordBatches)
		require.Empty(t, got.Topics[0].Partitions[0].RecordBatches)
	}
}

func TestNodeEndpointsAreLeftOutBeforeVersion16(t *testing.T) {
	r := &FetchResponse{FetchResponse: kmsg.NewPtrFetchResponse()}
	r.Brokers = []kmsg.FetchResponseBroker{{NodeID: 1, Host: "h"}}
	for version, want := range map[int16]int{12: 0, 15: 0, 16: 1, 18: 1} {
		r.Version = version
		parts, _ := r.AppendParts(nil)
		got := kmsg.NewPtrFetchResponse()
		got.Version = version
		require.NoError(t, got.ReadFrom(join(parts)))
		require.Len(t, got.Brokers, want, "version %d", version)
	}
}

func TestUnreadableRecordsAnswerStorageError(t *testing.T) {
	r := &FetchResponse{FetchResponse: kmsg.NewPtrFetchResponse()}
	r.Version = 18
	rows := []kmsg.FetchResponseTopicPartition{kmsg.NewFetchResponseTopicPartition(), kmsg.NewFetchResponseTopicPartition()}
	r.Topics = []kmsg.FetchResponseTopic{{Partitions: rows}}
	broken, good := &fakeSource{loaded: loaded("lost"), err: errors.New("disk")}, &fakeSource{loaded: loaded("kept")}
	r.Sources = []RecordSource{broken, good}
	got := kmsg.NewPtrFetchResponse()
	got.Version = 18
	require.NoError(t, got.ReadFrom(r.AppendTo(nil)))
	require.Equal(t, kerr.KafkaStorageError.Code, got.Topics[0].Partitions[0].ErrorCode)
	require.Empty(t, got.Topics[0].Partitions[0].RecordBatches)
	require.Equal(t, "kept", string(got.Topics[0].Partitions[1].RecordBatches))
	require.Equal(t, 1, broken.released)
	require.Equal(t, 1, good.released)
}
