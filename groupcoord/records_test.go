package groupcoord

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

func kafkaRecords(t testing.TB) []coordinator.Record { return recordsOf(t, "records-4.4.0.txt") }

func recordsOf(t testing.TB, file string) (list []coordinator.Record) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		var r coordinator.Record
		r.Key, err = hex.DecodeString(key)
		require.NoError(t, err)
		if value != "-" {
			r.Value, err = hex.DecodeString(value)
			require.NoError(t, err)
		}
		list = append(list, r)
	}
	return list
}

// TestKafkasOwnRecordsAreReadAndWrittenToTheByte: what Apache Kafka 4.4.0 wrote is understood, and what we write of
// the same state is the same bytes, versions included.
func TestKafkasOwnRecordsAreReadAndWrittenToTheByte(t *testing.T) {
	kinds := map[string]int{}
	for _, r := range kafkaRecords(t) {
		k, err := parseKey(r.Key)
		require.NoError(t, err)
		var again coordinator.Record
		switch {
		case k.key == keyOffsetCommit && r.Value == nil:
			kinds["offset tombstone"]++
			again = offsetTombstone(k.group, k.topic, k.partition)
		case k.key == keyOffsetCommit:
			kinds["offset"]++
			o, err := parseOffset(r.Value)
			require.NoError(t, err)
			again = offsetRecord(k.group, k.topic, k.partition, &o)
		case k.key == keyGroupMetadata && r.Value == nil:
			kinds["group tombstone"]++
			again = groupTombstone(k.group)
		case k.key == keyGroupMetadata:
			kinds["group"]++
			v, err := parseGroup(r.Value)
			require.NoError(t, err)
			again = loadGroup(k.group, v).record()
		}
		require.Equal(t, r, again, showRecord(r))
	}
	for _, kind := range []string{"offset", "offset tombstone", "group", "group tombstone"} {
		require.NotZero(t, kinds[kind], kind)
	}
}

// TestEveryVersionOfAValueIsRead: kmsg writes them all.
func TestEveryVersionOfAValueIsRead(t *testing.T) {
	for v := range offsetCommitVersion + 1 {
		value := (&kmsg.OffsetCommitValue{Version: v, Offset: 7, LeaderEpoch: 3, Metadata: "m", CommitTimestamp: 5, ExpireTimestamp: 9, TopicID: [16]byte{1}}).AppendTo(nil)
		o, err := parseOffset(value)
		require.NoError(t, err)
		require.Equal(t, "7 m 5", strings.Join([]string{"7", o.metadata, "5"}, " "))
		require.Equal(t, v >= 3, o.leaderEpoch == 3)
		require.Equal(t, v == 1, o.expiresAt == 9)
		require.Equal(t, v == 4, o.topicID[0] == 1)
	}
	for v := range groupMetadataFlexible + 1 {
		value := kmsg.GroupMetadataValue{Version: v, ProtocolType: "consumer", Generation: 4, Protocol: kmsg.StringPtr("range"), Leader: kmsg.StringPtr("a"), CurrentStateTimestamp: 8}
		value.Members = []kmsg.GroupMetadataValueMember{{MemberID: "a", SessionTimeoutMillis: 6000, RebalanceTimeoutMillis: 7000, Subscription: []byte{1}, Assignment: []byte{2}}}
		got, err := parseGroup(value.AppendTo(nil))
		require.NoError(t, err)
		g := loadGroup("g", got)
		require.Equal(t, Stable, g.state)
		require.Equal(t, "a", g.leader)
		require.Equal(t, []byte{1}, g.members[0].metadata("range"))
		want := millis(7000)
		if v == 0 {
			want = millis(6000)
		}
		require.Equal(t, want, g.members[0].rebalanceTimeout)
	}
}

func TestRecordsThatAnnounceMoreThanThereIsAreRefused(t *testing.T) {
	tags := []byte{0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}
	_, err := parseOffset(tags)
	require.ErrorIs(t, err, errMalformedRecord)
	for _, r := range kafkaRecords(t) {
		for n := range len(r.Key) {
			_, err := parseKey(r.Key[:n])
			require.Error(t, err)
		}
		if r.Value == nil {
			continue
		}
		for n := range len(r.Value) {
			if r.Key[1] == byte(keyOffsetCommit) {
				_, err = parseOffset(r.Value[:n])
			} else {
				_, err = parseGroup(r.Value[:n])
			}
			require.Error(t, err)
		}
	}
	_, err = parseOffset([]byte{0, 5, 0})
	require.ErrorIs(t, err, errMalformedRecord)
	_, err = parseKey([]byte{0, 10, 0, 1, 'g', 0, 1, 'm'})
	require.ErrorIs(t, err, errUnknownRecord)
}

// FuzzReplay: any record is applied or refused, quickly.
func FuzzReplay(f *testing.F) {
	for _, r := range append(kafkaRecords(f), recordsOf(f, "consumer-records-4.4.0.txt")...) {
		f.Add(r.Key, r.Value)
	}
	f.Fuzz(func(_ *testing.T, key, value []byte) {
		m := newSim().m
		_ = m.Replay(0, -1, coordinator.Record{Key: key, Value: value})
		_ = m.Replay(1, 7, coordinator.Record{Key: key, Value: value})
		m.ReplayMarker(7, true)
	})
}
