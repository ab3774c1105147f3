package handlers

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/config"
	"minikafka/metadata"
	"minikafka/protocol"
	"minikafka/replication"
)

// Fetch v4-v18. Partitions are served in the order of the request or session, each up to its own limit and
// what is left of the whole; the first one with records may exceed both by one batch. It answers at once
// with enough bytes, an error, a divergence, or when nothing is to wait for; else it waits at all its
// partitions. Records are never copied: the answer has file ranges, which the connection releases.

// fetchTarget is one partition of a fetch.
type fetchTarget struct {
	key    fetchKey
	name   string           // "" while the id is not known
	cached *cachedPartition // nil without a session

	partition *replication.Partition
	read      replication.ReadRequest
	maxBytes  int32
	// refused: the answer is known without the partition (unknown topic). It is no reason not to wait.
	refused error

	result replication.ReadResult
	err    error
}

// fetchCall is one Fetch request under way. It has no part in the request's bytes.
type fetchCall struct {
	h        *Handlers
	context  fetchContext
	image    *metadata.Image
	listener string
	version  int16
	readLimits
	targets []fetchTarget
	first   int // number of targets that are not refused; they come first
}

// readLimits are the limits of the whole request.
type readLimits struct {
	replica            int32
	isolation          replication.Isolation
	minBytes, maxBytes int
}

func (h *Handlers) fetch(_ context.Context, r *Request, req *kmsg.FetchRequest) (kmsg.Response, Later) {
	var fetchContext fetchContext
	refused := kerr.UnknownServerError // of an isolation level that does not exist
	if req.IsolationLevel == 0 || req.IsolationLevel == 1 || req.Version < 7 {
		fetchContext, refused = h.fetchSessions.begin(req, h.Clock.Now())
	}
	if refused != nil {
		resp := kmsg.NewPtrFetchResponse()
		resp.Version, resp.ErrorCode, resp.Topics = req.Version, refused.Code, []kmsg.FetchResponseTopic{}
		return &protocol.FetchResponse{FetchResponse: resp}, nil
	}
	c := &fetchCall{
		h: h, context: fetchContext, image: h.Image(), listener: r.Listener, version: req.Version,
		readLimits: h.limits(req),
	}
	c.collect(req)
	if c.try() || req.MaxWaitMillis <= 0 || c.first == 0 {
		return c.answer(), nil
	}
	c.release()
	wait := time.Duration(req.MaxWaitMillis) * time.Millisecond
	return nil, func(ctx context.Context) kmsg.Response {
		c.await(ctx, wait)
		return c.answer()
	}
}

func (h *Handlers) limits(req *kmsg.FetchRequest) readLimits {
	l := readLimits{replica: req.ReplicaID}
	if req.Version >= 15 {
		l.replica = req.ReplicaState.ID
	}
	switch {
	case l.replica >= 0:
		l.isolation = replication.ReadLogEnd
	case req.IsolationLevel == 1:
		l.isolation = replication.ReadCommitted
	}
	l.maxBytes = int(min(req.MaxBytes, config.Get(h.Config(), config.FetchMaxBytes)))
	l.minBytes = min(int(req.MinBytes), l.maxBytes)
	return l
}

// collect makes the targets: those of the session, or else those of the request; refused ones last.
func (c *fetchCall) collect(req *kmsg.FetchRequest) {
	if s := c.context.session; s != nil {
		s.mu.Lock()
		c.targets = make([]fetchTarget, 0, len(s.partitions))
		for p := s.ring.next; p != &s.ring; p = p.next {
			if p.name == "" {
				p.name = c.resolve(p.key)
			}
			c.targets = append(c.targets, c.target(p.key, p.name, p.fetchParams, p))
		}
		s.mu.Unlock()
	} else {
		n := 0
		for i := range req.Topics {
			n += len(req.Topics[i].Partitions)
		}
		c.targets = make([]fetchTarget, 0, n)
		known := map[fetchKey]int{} // of a partition that comes twice the last row counts, in the first one's place
		eachPartition(req, func(k fetchKey, p fetchParams) {
			if n > 1 {
				if i, twice := known[k]; twice {
					c.targets[i] = c.target(k, c.resolve(k), p, nil)
					return
				}
				known[k] = len(c.targets)
			}
			t := c.target(k, c.resolve(k), p, nil)
			if req.IsolationLevel != 0 && req.IsolationLevel != 1 {
				t.refused = kerr.UnknownServerError
			}
			c.targets = append(c.targets, t)
		})
	}
	c.refusedLast()
}

// refusedLast moves what is refused behind the rest, keeping both in order, as Kafka's answers have it.
func (c *fetchCall) refusedLast() {
	var refused []fetchTarget
	kept := c.targets[:0]
	for i := range c.targets {
		if c.targets[i].refused != nil {
			refused = append(refused, c.targets[i])
		} else {
			kept = append(kept, c.targets[i])
		}
	}
	c.first = len(kept)
	c.targets = append(kept, refused...)
}

func (c *fetchCall) resolve(k fetchKey) string {
	if c.version < 13 {
		return k.name
	}
	if t := c.image.TopicByID(k.id); t != nil {
		return t.Name
	}
	return ""
}

func (c *fetchCall) target(k fetchKey, name string, p fetchParams, cached *cachedPartition) fetchTarget {
	t := fetchTarget{key: k, name: name, cached: cached, maxBytes: p.maxBytes}
	t.read = replication.ReadRequest{
		Offset: p.offset, Isolation: c.isolation,
		// Fetch leaves every negative epoch unchecked; ListOffsets and OffsetForLeaderEpoch only -1.
		CurrentLeaderEpoch: max(p.currentLeaderEpoch, -1), LastFetchedEpoch: p.lastFetchedEpoch,
	}
	switch {
	case name == "" && c.version >= 13:
		t.refused = ErrUnknownTopicID
		return t
	case exists(c.image, name, k.partition) != nil:
		t.refused = ErrUnknownTopic
		return t
	}
	t.partition = c.h.Partitions.Partition(name, k.partition)
	return t
}

// try reads every partition and says whether that is an answer. What it has read is to be released or
// answered.
func (c *fetchCall) try() (done bool) {
	left, minOne, size := c.maxBytes, true, 0
	for i := range c.targets[:c.first] {
		t := &c.targets[i]
		t.read.MaxBytes, t.read.MinOne = min(t.maxBytes, int32(left)), minOne
		t.result, t.err = c.readTarget(t)
		if t.err != nil || t.result.DivergingEpoch >= 0 {
			done = true
		}
		n := 0
		if t.result.Records != nil {
			n = t.result.Records.Size()
		}
		size += n
		left = max(0, left-n)
		minOne = minOne && n == 0
	}
	return done || size >= c.minBytes
}

func (c *fetchCall) readTarget(t *fetchTarget) (replication.ReadResult, error) {
	none := replication.ReadResult{}
	switch {
	case t.partition == nil:
		return none, replication.ErrNotLeader
	case c.version >= 13 && t.partition.TopicID() != metadata.UUID(t.key.id):
		return none, ErrInconsistentTopicID
	case c.replica >= 0:
		return none, notAFollower(t)
	}
	if t.read.MaxBytes < 0 {
		if err := t.partition.CheckEpoch(t.read.CurrentLeaderEpoch); err != nil {
			return none, err
		}
		return none, kerr.UnknownServerError // as in Kafka
	}
	return t.partition.Read(t.read)
}

// notAFollower is what a fetch gets that says it is a broker's, but of none that has a replica.
func notAFollower(t *fetchTarget) error {
	if err := t.partition.CheckEpoch(t.read.CurrentLeaderEpoch); err != nil {
		return err
	}
	if t.read.CurrentLeaderEpoch >= 0 {
		return replication.ErrUnknownLeaderEpoch
	}
	return replication.ErrNotLeader
}

// release lets go of what was read.
func (c *fetchCall) release() {
	for i := range c.targets[:c.first] {
		if r := c.targets[i].result.Records; r != nil {
			r.Release()
			c.targets[i].result.Records = nil
		}
	}
}

// await waits until the fetch has an answer, the time is over, or the connection ends, and reads.
func (c *fetchCall) await(ctx context.Context, wait time.Duration) {
	timer := c.h.Clock.NewTimer(wait)
	defer timer.Stop()
	await := replication.NewAwait(c.first)
	defer await.Close()
	for i := range c.targets[:c.first] {
		await.Add(c.targets[i].partition)
	}
	for {
		if c.ready() {
			if c.try() {
				return
			}
			c.release()
		}
		select {
		case <-await.C():
			continue
		case <-timer.C():
		case <-ctx.Done():
		}
		c.try()
		return
	}
}

// ready says whether any partition has something: only then all are read.
func (c *fetchCall) ready() bool {
	for i := range c.targets[:c.first] {
		if t := &c.targets[i]; t.partition.Ready(&t.read) {
			return true
		}
	}
	return false
}

// answer makes the response. Of a session's partitions only those are in it that have something new.
func (c *fetchCall) answer() kmsg.Response {
	resp := &protocol.FetchResponse{FetchResponse: kmsg.NewPtrFetchResponse()}
	resp.Version = c.version
	resp.Topics = []kmsg.FetchResponseTopic{}
	if s := c.context.session; s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		resp.SessionID = s.id
		if s.epoch != c.context.epoch { // a newer request came meanwhile
			c.release()
			resp.ErrorCode = kerr.InvalidFetchSessionEpoch.Code
			return resp
		}
	}
	resp.Sources = make([]protocol.RecordSource, 0, len(c.targets))
	for i := range c.targets {
		c.addRow(resp, &c.targets[i])
	}
	if c.context.create {
		resp.SessionID = c.newSession(resp.FetchResponse)
	}
	return resp
}

func (c *fetchCall) addRow(resp *protocol.FetchResponse, t *fetchTarget) {
	row := kmsg.NewFetchResponseTopicPartition()
	row.Partition, row.HighWatermark = t.key.partition, -1
	row.LastStableOffset, row.LogStartOffset, row.PreferredReadReplica = -1, -1, -1
	c.fillRow(&row, t)
	size := 0
	if t.result.Records != nil {
		size = t.result.Records.Size()
	}
	if t.cached != nil {
		if !t.cached.changed(&row, size) {
			c.drop(t)
			return
		}
		if size > 0 {
			c.context.session.served(t.cached)
		}
	}
	n := len(resp.Topics)
	if n == 0 || resp.Topics[n-1].Topic != t.key.name || resp.Topics[n-1].TopicID != t.key.id {
		topic := kmsg.FetchResponseTopic{Topic: t.key.name, TopicID: t.key.id}
		topic.Partitions = make([]kmsg.FetchResponseTopicPartition, 0, 1)
		resp.Topics = append(resp.Topics, topic)
		n++
	}
	if row.CurrentLeader.LeaderID >= 0 && c.replica < 0 {
		c.endpoint(resp.FetchResponse, row.CurrentLeader.LeaderID)
	}
	resp.Topics[n-1].Partitions = append(resp.Topics[n-1].Partitions, row)
	var source protocol.RecordSource // an interface without a value when there are no records
	if t.result.Records != nil {
		source = t.result.Records
		t.result.Records = nil
	}
	resp.Sources = append(resp.Sources, source)
}

func (c *fetchCall) drop(t *fetchTarget) {
	if t.result.Records != nil {
		t.result.Records.Release()
		t.result.Records = nil
	}
}

// fillRow puts a target's outcome into its row, whose offsets are all -1.
func (c *fetchCall) fillRow(row *kmsg.FetchResponseTopicPartition, t *fetchTarget) {
	if t.refused != nil {
		row.ErrorCode = c.h.codeOf(t.refused, kmsg.Fetch, c.version)
		row.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
		return
	}
	if t.err != nil {
		row.ErrorCode = c.h.codeOf(t.err, kmsg.Fetch, c.version)
		moved := row.ErrorCode == kerr.NotLeaderForPartition.Code || row.ErrorCode == kerr.FencedLeaderEpoch.Code
		if moved && c.version >= 16 {
			row.CurrentLeader.LeaderID, row.CurrentLeader.LeaderEpoch, _ = currentLeader(c.h.Image(), t.name, t.key.partition)
		}
		return
	}
	r := &t.result
	row.HighWatermark, row.LastStableOffset, row.LogStartOffset = r.HighWatermark, r.LastStableOffset, r.LogStartOffset
	if r.DivergingEpoch >= 0 {
		row.DivergingEpoch.Epoch, row.DivergingEpoch.EndOffset = r.DivergingEpoch, r.DivergingEndOffset
	}
	if r.Aborted == nil {
		return
	}
	row.AbortedTransactions = make([]kmsg.FetchResponseTopicPartitionAbortedTransaction, len(r.Aborted))
	for i, a := range r.Aborted {
		row.AbortedTransactions[i].ProducerID, row.AbortedTransactions[i].FirstOffset = a.ProducerID, a.FirstOffset
	}
}

// endpoint adds where a leader is that a row names (KIP-951).
func (c *fetchCall) endpoint(resp *kmsg.FetchResponse, leader int32) {
	for i := range resp.Brokers {
		if resp.Brokers[i].NodeID == leader {
			return
		}
	}
	b := c.image.Broker(leader)
	if b == nil {
		return
	}
	if e, ok := b.Endpoint(c.listener); ok {
		node := kmsg.NewFetchResponseBroker()
		node.NodeID, node.Host, node.Port, node.Rack = b.ID, e.Host, int32(e.Port), b.Rack
		resp.Brokers = append(resp.Brokers, node)
	}
}

// newSession keeps what a full fetch asked and was answered; 0: the cache has no place for it.
func (c *fetchCall) newSession(resp *kmsg.FetchResponse) int32 {
	slots := int(config.Get(c.h.Config(), config.MaxIncrementalFetchSessionCacheSlots))
	if slots <= 0 {
		return 0
	}
	s := newFetchSession(c.version >= 13, c.replica >= 0)
	next := 0
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			row, t := &resp.Topics[i].Partitions[j], &c.targets[next]
			next++
			p := s.set(t.key, fetchParams{t.read.Offset, t.maxBytes, t.read.CurrentLeaderEpoch, t.read.LastFetchedEpoch})
			p.name, p.highWatermark, p.logStart = t.name, row.HighWatermark, row.LogStartOffset
		}
	}
	return c.h.fetchSessions.add(s, slots, c.h.Clock.Now(), func() int32 {
		return 1 + rand.Int32N(1<<31-1) //nolint:gosec // an id, no secret
	})
}
