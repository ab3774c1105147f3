package handlers

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func sessionRequest(version int16, id, epoch int32, partitions ...int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionID, req.SessionEpoch = version, id, epoch
	topic := kmsg.FetchRequestTopic{Topic: "t"}
	for _, p := range partitions {
		row := kmsg.NewFetchRequestTopicPartition()
		row.Partition = p
		topic.Partitions = append(topic.Partitions, row)
	}
	req.Topics = []kmsg.FetchRequestTopic{topic}
	return req
}

func sequence() func() int32 {
	next := int32(0)
	return func() int32 { next++; return next }
}

// sessionRow is what a broker knows of a partition, and what a client has been told.
type sessionRow struct{ highWatermark, logStart int64 }

// TestIncrementalAnswersAddUpToFullOnes drives one session at random. After each round the client's view,
// to which only the incremental rows were added, is what a full fetch would have said, and records come
// exactly for the partitions that the client still wants.
func TestIncrementalAnswersAddUpToFullOnes(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var cache fetchSessions
		s := newFetchSession(false, false)
		broker, told, wanted := map[int32]sessionRow{}, map[int32]sessionRow{}, map[int32]bool{}
		for p := range int32(4) {
			broker[p] = sessionRow{}
			wanted[p] = true
			s.set(fetchKey{name: "t", partition: p}, fetchParams{})
		}
		id, epoch := cache.add(s, 10, time.Unix(0, 0), sequence()), int32(1)
		for range 30 {
			req := sessionRequest(12, id, epoch)
			for p := range int32(6) {
				switch r.IntN(6) {
				case 0:
					req.Topics[0].Partitions = append(req.Topics[0].Partitions, sessionRequest(12, 0, 0, p).Topics[0].Partitions...)
					if !wanted[p] {
						delete(told, p)
					}
					wanted[p] = true
				case 1:
					if len(wanted) > 1 && !added(req, p) {
						req.ForgottenTopics = append(req.ForgottenTopics, kmsg.FetchRequestForgottenTopic{Topic: "t", Partitions: []int32{p}})
						delete(wanted, p)
					}
				case 2:
					b := broker[p]
					b.highWatermark++
					broker[p] = b
				case 3:
					broker[p] = sessionRow{broker[p].highWatermark, broker[p].highWatermark}
				}
			}
			c, refused := cache.begin(req, time.Unix(0, 0))
			require.Nil(t, refused)
			require.Same(t, s, c.session)
			epoch++
			require.Equal(t, epoch, c.epoch)
			inOrder := 0
			for p := s.ring.next; p != &s.ring; {
				next := p.next
				inOrder++
				id := p.key.partition
				require.True(t, wanted[id], "seed %d: partition %d was forgotten", seed, id)
				row := kmsg.NewFetchResponseTopicPartition()
				row.PreferredReadReplica = -1
				row.HighWatermark, row.LogStartOffset = broker[id].highWatermark, broker[id].logStart
				if r.IntN(10) == 0 {
					row.ErrorCode, row.HighWatermark, row.LogStartOffset = kerr.UnknownServerError.Code, -1, -1
				}
				if p.changed(&row, 0) {
					told[id] = sessionRow{row.HighWatermark, row.LogStartOffset}
				} else {
					require.Zero(t, row.ErrorCode, "an error is always told")
					require.Equal(t, broker[id], told[id], "seed %d: partition %d changed and was not told", seed, id)
				}
				if r.IntN(3) == 0 {
					s.served(p)
					require.Same(t, p, s.ring.prev, "who got records goes last")
				}
				p = next
				if inOrder > len(s.partitions) {
					break // those moved back come once more
				}
			}
			require.Len(t, s.partitions, len(wanted))
		}
	}
}

func added(req *kmsg.FetchRequest, p int32) bool {
	for _, row := range req.Topics[0].Partitions {
		if row.Partition == p {
			return true
		}
	}
	return false
}

func TestSessionErrors(t *testing.T) {
	var cache fetchSessions
	now := time.Unix(0, 0)
	s := newFetchSession(false, false)
	s.set(fetchKey{name: "t"}, fetchParams{})
	id := cache.add(s, 10, now, sequence())
	for _, c := range []struct {
		req  *kmsg.FetchRequest
		want *kerr.Error
	}{
		{sessionRequest(12, id+1, 1), kerr.FetchSessionIDNotFound},
		{sessionRequest(12, id, 2), kerr.InvalidFetchSessionEpoch},
		{sessionRequest(13, id, 1), kerr.FetchSessionTopicIDError},
		{sessionRequest(12, id, 1, 0), nil},
		{sessionRequest(12, id, 1, 0), kerr.InvalidFetchSessionEpoch},
		{sessionRequest(12, id, 2, 0), nil},
		{sessionRequest(12, id, 0, 0), nil}, // a full request closes the session that it names
		{sessionRequest(12, id, 3, 0), kerr.FetchSessionIDNotFound},
	} {
		_, refused := cache.begin(c.req, now)
		require.Equal(t, c.want, refused, "%d %d", c.req.SessionID, c.req.SessionEpoch)
	}
	require.EqualValues(t, 1, nextFetchEpoch(1<<31-1))
}

func TestSessionThatIsLeftEmptyIsClosed(t *testing.T) {
	var cache fetchSessions
	s := newFetchSession(false, false)
	s.set(fetchKey{name: "t"}, fetchParams{})
	id := cache.add(s, 10, time.Unix(0, 0), sequence())
	req := sessionRequest(12, id, 1)
	req.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: "t", Partitions: []int32{0}}}
	c, refused := cache.begin(req, time.Unix(0, 0))
	require.Nil(t, refused)
	require.Nil(t, c.session)
	require.Empty(t, cache.byID)
}

func TestCacheKeepsTheMoreValuableSessions(t *testing.T) {
	var cache fetchSessions
	ids := sequence()
	session := func(n int, privileged bool) *fetchSession {
		s := newFetchSession(false, privileged)
		for p := range n {
			s.set(fetchKey{name: "t", partition: int32(p)}, fetchParams{})
		}
		return s
	}
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	first := cache.add(session(2, false), 2, at(0), ids)
	follower := cache.add(session(1, true), 2, at(0), ids)
	require.Zero(t, cache.add(session(9, false), 2, at(60), ids), "all are young")
	cache.touch(cache.byID[first], at(100))
	cache.touch(cache.byID[follower], at(100))
	require.Zero(t, cache.add(session(1, false), 2, at(130), ids), "smaller than what it would put out")
	third := cache.add(session(3, false), 2, at(130), ids)
	require.NotZero(t, third)
	require.Nil(t, cache.byID[first])
	require.NotNil(t, cache.byID[follower])
	require.NotZero(t, cache.add(session(1, false), 2, at(300), ids), "unused for more than 120 s")
}
