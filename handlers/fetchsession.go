package handlers

import (
	"cmp"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fetch sessions (KIP-227): the broker remembers what a client fetches, so that a request carries only
// what changed and an answer only what is new. A session itself is pure; fetchSessions is the cache
// around them. Epochs: a full request has 0 (make a session) or -1 (make none), the session then counts
// 1, 2, … and after 2147483647 comes 1.

// fetchKey names a partition of a session: by topic name below v13, by topic id from there on.
type fetchKey struct {
	name      string
	id        [16]byte
	partition int32
}

// fetchParams are what the request says of a partition.
type fetchParams struct {
	offset                               int64
	maxBytes                             int32
	currentLeaderEpoch, lastFetchedEpoch int32
}

// cachedPartition is a partition of a session, in the order in which it will be served.
type cachedPartition struct {
	key  fetchKey
	name string // resolved once; "" while the id is not known
	fetchParams
	// What was last answered; -1 before, and the high watermark again after an error.
	highWatermark, logStart int64
	prev, next              *cachedPartition
}

// changed says whether a row must be answered: it has records, an error or a divergence, or the offsets
// are not those that were answered last. It remembers the new ones.
func (c *cachedPartition) changed(row *kmsg.FetchResponseTopicPartition, size int) bool {
	must := size > 0 || row.ErrorCode != 0 || row.DivergingEpoch.EndOffset >= 0 || row.PreferredReadReplica >= 0
	if c.highWatermark != row.HighWatermark || c.logStart != row.LogStartOffset {
		c.highWatermark, c.logStart = row.HighWatermark, row.LogStartOffset
		must = true
	}
	if row.ErrorCode != 0 {
		c.highWatermark = -1
	}
	return must
}

// fetchSession is one session. Its owner locks mu.
type fetchSession struct {
	mu         sync.Mutex
	id         int32
	epoch      int32 // expected of the next request
	byID       bool  // made by v13 or later
	privileged bool  // a follower's

	// Under the cache's lock, which may be taken while mu is held.
	created, lastUsed time.Time
	size              int // number of partitions at the last use

	partitions map[fetchKey]*cachedPartition
	ring       cachedPartition // the order: ring.next is served first
}

func newFetchSession(byID, privileged bool) *fetchSession {
	s := &fetchSession{epoch: 1, byID: byID, privileged: privileged, partitions: map[fetchKey]*cachedPartition{}}
	s.ring.next, s.ring.prev = &s.ring, &s.ring
	return s
}

func (s *fetchSession) pushBack(c *cachedPartition) {
	c.prev, c.next = s.ring.prev, &s.ring
	c.prev.next, c.next.prev = c, c
}

func unlink(c *cachedPartition) { c.prev.next, c.next.prev = c.next, c.prev }

// set adds a partition at the end, or changes what is asked of it.
func (s *fetchSession) set(k fetchKey, p fetchParams) *cachedPartition {
	c := s.partitions[k]
	if c == nil {
		c = &cachedPartition{key: k, name: k.name, highWatermark: -1, logStart: -1}
		s.partitions[k] = c
		s.pushBack(c)
	}
	c.fetchParams = p
	return c
}

func (s *fetchSession) forget(k fetchKey) {
	if c := s.partitions[k]; c != nil {
		unlink(c)
		delete(s.partitions, k)
	}
}

// served moves a partition that got records behind the others.
func (s *fetchSession) served(c *cachedPartition) {
	if s.partitions[c.key] == c {
		unlink(c)
		s.pushBack(c)
	}
}

// update takes a request's changes.
func (s *fetchSession) update(req *kmsg.FetchRequest) {
	eachPartition(req, func(k fetchKey, p fetchParams) { s.set(k, p) })
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, p := range t.Partitions {
			s.forget(fetchKey{t.Topic, t.TopicID, p})
		}
	}
}

func eachPartition(req *kmsg.FetchRequest, f func(fetchKey, fetchParams)) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			f(fetchKey{t.Topic, t.TopicID, p.Partition},
				fetchParams{p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LastFetchedEpoch})
		}
	}
}

// nextFetchEpoch follows an epoch.
func nextFetchEpoch(epoch int32) int32 {
	switch {
	case epoch < 0:
		return -1
	case epoch == 1<<31-1:
		return 1
	}
	return epoch + 1
}

// fetchEvictionAge is how long a session is safe from others that want its place.
const fetchEvictionAge = 120 * time.Second

// fetchSessions is the cache. The zero value is ready.
type fetchSessions struct {
	mu   sync.Mutex
	byID map[int32]*fetchSession
}

// fetchContext is how a request is to be answered.
type fetchContext struct {
	session *fetchSession // nil: sessionless, or a full fetch whose session is made with the answer
	create  bool          // a session is made with the answer
	epoch   int32         // that the session has while this answer is current
}

// begin decides how a request is answered and takes its changes into its session. The error is top-level.
func (f *fetchSessions) begin(req *kmsg.FetchRequest, now time.Time) (fetchContext, *kerr.Error) {
	if req.SessionEpoch == 0 || req.SessionEpoch == -1 {
		if req.SessionID != 0 {
			f.remove(req.SessionID)
		}
		return fetchContext{create: req.SessionEpoch == 0}, nil
	}
	f.mu.Lock()
	s := f.byID[req.SessionID]
	f.mu.Unlock()
	if s == nil {
		return fetchContext{}, kerr.FetchSessionIDNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.epoch != req.SessionEpoch:
		return fetchContext{}, kerr.InvalidFetchSessionEpoch
	case s.byID != (req.Version >= 13):
		return fetchContext{}, kerr.FetchSessionTopicIDError
	}
	s.update(req)
	if len(s.partitions) == 0 {
		f.remove(s.id)
		return fetchContext{}, nil
	}
	s.epoch = nextFetchEpoch(s.epoch)
	f.touch(s, now)
	return fetchContext{session: s, epoch: s.epoch}, nil
}

// touch notes a use; the session is locked.
func (f *fetchSessions) touch(s *fetchSession, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.lastUsed, s.size = now, len(s.partitions)
}

func (f *fetchSessions) remove(id int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byID, id)
}

// add stores a new session and gives it an id, or 0 when all slots are taken by more valuable ones.
func (f *fetchSessions) add(s *fetchSession, slots int, now time.Time, random func() int32) int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.size = len(s.partitions)
	if f.byID == nil {
		f.byID = map[int32]*fetchSession{}
	}
	if len(f.byID) >= slots {
		victim := f.victim(s, now)
		if victim == nil {
			return 0
		}
		delete(f.byID, victim.id)
	}
	for s.id <= 0 || f.byID[s.id] != nil {
		s.id = random()
	}
	s.created, s.lastUsed, s.size = now, now, len(s.partitions)
	f.byID[s.id] = s
	return s.id
}

// victim is a session to put out for a new one: one that was not used for long, or an old one that is
// worth less, followers being worth more than clients and many partitions more than few.
func (f *fetchSessions) victim(candidate *fetchSession, now time.Time) *fetchSession {
	var idle, cheapest *fetchSession
	for _, s := range f.byID {
		if idle == nil || s.lastUsed.Before(idle.lastUsed) {
			idle = s
		}
		evictable := now.Sub(s.created) > fetchEvictionAge && (candidate.privileged || !s.privileged)
		if evictable && (cheapest == nil || s.compare(cheapest) < 0) {
			cheapest = s
		}
	}
	switch {
	case idle != nil && now.Sub(idle.lastUsed) > fetchEvictionAge:
		return idle
	case cheapest != nil && candidate.compare(cheapest) >= 0:
		return cheapest
	}
	return nil
}

// compare orders sessions by worth.
func (s *fetchSession) compare(o *fetchSession) int {
	if s.privileged != o.privileged {
		if o.privileged {
			return -1
		}
		return 1
	}
	return cmp.Compare(s.size, o.size)
}
