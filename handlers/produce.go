package handlers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/logstore"
	"minikafka/metadata"
	"minikafka/protocol"
	"minikafka/replication"
	"minikafka/txncoord"
)

// Produce v3-v13, advertised from 0 (KAFKA-18659). The order of checks is Kafka's: transactional id (the
// whole request); per partition topic id or name, framing, then acks, the topic's being internal, the
// transaction, and what the partition says. acks=0 has no answer: an error closes the connection.

// adminClientID may produce to internal topics, as in Kafka.
const adminClientID = "__admin_client"

// CloseConn is what a handler returns when an error cannot be told: the connection is to be closed.
type CloseConn struct {
	*kmsg.ProduceResponse
	Reason error
}

// pendingCommit is a partition of an acks=-1 request that is appended but not committed.
type pendingCommit struct {
	partition   *replication.Partition
	answer      *kmsg.ProduceResponseTopicPartition
	lastOffset  int64
	leaderEpoch int32
}

// produceCall is one Produce request under way. It has no part in the request's bytes.
type produceCall struct {
	h        *Handlers
	resp     *kmsg.ProduceResponse
	version  int16
	acks     int16
	listener string
	image    *metadata.Image
	internal bool // internal topics are allowed
	pending  []pendingCommit
	failed   error                              // the first error, for acks=0
	refused  error                              // of the whole request
	joined   map[txncoord.TopicPartition]joined // of a transactional request
}

func (h *Handlers) produce(ctx context.Context, r *Request, req *kmsg.ProduceRequest) (kmsg.Response, Later) {
	c := produceCall{
		h: h, resp: newProduceResponse(req), version: req.Version, acks: req.Acks,
		listener: r.Listener, image: h.Image(), internal: r.ClientID == adminClientID,
	}
	switch {
	case req.TransactionID != nil:
		c.joinTransaction(ctx, req)
	case hasTransactionalRecords(req):
		c.refused = ErrTransactionalID
	}
	for t := range req.Topics {
		name, err := c.topic(&c.resp.Topics[t])
		if c.refused != nil {
			err = c.refused
		}
		for p := range req.Topics[t].Partitions {
			row, rowErr := &c.resp.Topics[t].Partitions[p], err
			if err == nil {
				rowErr = c.partition(name, req.Topics[t].Partitions[p].Records, row)
			}
			if rowErr != nil {
				c.fail(row, rowErr)
			}
		}
	}
	c.endpoints()
	c.resp.Topics = slices.DeleteFunc(c.resp.Topics, func(t kmsg.ProduceResponseTopic) bool { return len(t.Partitions) == 0 })
	switch {
	case req.Acks == 0 && c.failed != nil:
		return &CloseConn{ProduceResponse: c.resp, Reason: c.failed}, nil
	case req.Acks == 0:
		return nil, nil
	case len(c.pending) > 0:
		return nil, c.later(time.Duration(req.TimeoutMillis) * time.Millisecond)
	}
	return c.resp, nil
}

// newProduceResponse has a row for each partition of the request, in its order, as Kafka's rows are
// before anything is known.
func newProduceResponse(req *kmsg.ProduceRequest) *kmsg.ProduceResponse {
	resp := &kmsg.ProduceResponse{Version: req.Version, Topics: make([]kmsg.ProduceResponseTopic, len(req.Topics))}
	for t := range req.Topics {
		from, to := &req.Topics[t], &resp.Topics[t]
		to.Topic, to.TopicID = from.Topic, from.TopicID
		to.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(from.Partitions))
		for p := range from.Partitions {
			to.Partitions[p].Default()
			to.Partitions[p].Partition = from.Partitions[p].Partition
			to.Partitions[p].BaseOffset = -1
		}
	}
	return resp
}

// hasTransactionalRecords looks at the first batch of each partition.
func hasTransactionalRecords(req *kmsg.ProduceRequest) bool {
	for t := range req.Topics {
		for p := range req.Topics[t].Partitions {
			b, _, err := protocol.NextBatch(req.Topics[t].Partitions[p].Records)
			if err == nil && b.IsTransactional() {
				return true
			}
		}
	}
	return false
}

// topic is the name of a topic of the request, which from v13 on is asked for by id.
func (c *produceCall) topic(t *kmsg.ProduceResponseTopic) (string, error) {
	if c.version < 13 {
		return t.Topic, nil
	}
	if known := c.image.TopicByID(t.TopicID); known != nil {
		return known.Name, nil
	}
	return "", ErrUnknownTopicID
}

// partition appends one partition's records and fills its row. An error is the row's.
func (c *produceCall) partition(name string, records []byte, row *kmsg.ProduceResponseTopicPartition) error {
	if err := exists(c.image, name, row.Partition); err != nil {
		return err
	}
	batch, err := protocol.OnlyBatch(records, c.version)
	switch {
	case err != nil:
		row.ErrorMessage = framingMessage(err)
		return err
	case c.acks < -1 || c.acks > 1:
		return ErrInvalidAcks
	case isInternal(name) && !c.internal:
		return ErrInternalTopic
	}
	partition := c.h.Partitions.Partition(name, row.Partition)
	if partition == nil {
		return replication.ErrNotLeader
	}
	r := replication.AppendRequest{Batch: records, Acks: c.acks, ProduceVersion: c.version}
	if batch.IsTransactional() {
		joined := c.joined[txncoord.TopicPartition{Topic: name, Partition: row.Partition}]
		if errors.Is(joined.err, errNotAdded) {
			row.ErrorMessage = kmsg.StringPtr(notAddedText)
		}
		if joined.err != nil {
			return joined.err
		}
		r.Verification, r.TransactionV2 = joined.verification, c.version >= produceAdds
	}
	result, err := partition.Append(r)
	if err != nil {
		if tellsLogStart(err) {
			row.LogStartOffset, _, _, _ = partition.Offsets()
		}
		return err
	}
	row.BaseOffset, row.LogAppendTime, row.LogStartOffset = result.FirstOffset, result.LogAppendTime, result.LogStartOffset
	if c.acks != -1 {
		return nil
	}
	done, err := partition.Committed(result.LastOffset, result.LeaderEpoch)
	if !done {
		c.pending = append(c.pending, pendingCommit{partition, row, result.LastOffset, result.LeaderEpoch})
	}
	return err
}

// framingMessage is Kafka's text of a batch that cannot even be framed; other errors of the framing have
// none.
func framingMessage(err error) *string {
	text, found := strings.CutPrefix(err.Error(), protocol.ErrCorrupt.Error()+": ")
	if !found || text == "" {
		return nil
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	return &text
}

// exists says whether the metadata knows a partition.
func exists(image *metadata.Image, name string, partition int32) error {
	t := image.TopicByName(name)
	if t == nil || partition < 0 || int(partition) >= len(t.Partitions) {
		return ErrUnknownTopic
	}
	return nil
}

// tellsLogStart: Kafka fills the log start offset beside errors of the records' contents, sequences and
// the ISR, and leaves -1 beside those that it knows before.
func tellsLogStart(err error) bool {
	for _, known := range []error{
		protocol.ErrCorrupt, protocol.ErrTooLarge, protocol.ErrUnsupportedCodec, logstore.ErrRecordListTooBig,
		logstore.ErrStorage, replication.ErrNotLeader, replication.ErrUnknownPartition,
	} {
		if errors.Is(err, known) {
			return false
		}
	}
	return true
}

// fail fills a row with an error.
func (c *produceCall) fail(to *kmsg.ProduceResponseTopicPartition, err error) {
	if c.failed == nil {
		c.failed = err
	}
	to.ErrorCode = c.h.codeOf(err, kmsg.Produce, c.version)
	var records *protocol.RecordErrors
	if !errors.As(err, &records) {
		return
	}
	to.ErrorMessage = &records.Message
	to.ErrorRecords = make([]kmsg.ProduceResponseTopicPartitionErrorRecord, len(records.Records))
	for i := range records.Records {
		to.ErrorRecords[i].RelativeOffset = records.Records[i].Index
		if records.Records[i].Message != "" {
			to.ErrorRecords[i].ErrorMessage = &records.Records[i].Message
		}
	}
}

// endpoints tells clients of v10 on who leads instead (KIP-951).
func (c *produceCall) endpoints() {
	if c.version < 10 || c.failed == nil {
		return
	}
	for t := range c.resp.Topics {
		name, _ := c.topic(&c.resp.Topics[t])
		for p := range c.resp.Topics[t].Partitions {
			row := &c.resp.Topics[t].Partitions[p]
			if row.ErrorCode != kerr.NotLeaderForPartition.Code {
				continue
			}
			var leader *metadata.Broker
			row.CurrentLeader.LeaderID, row.CurrentLeader.LeaderEpoch, leader = currentLeader(c.image, name, row.Partition)
			c.endpoint(leader)
		}
	}
}

func (c *produceCall) endpoint(leader *metadata.Broker) {
	if leader == nil {
		return
	}
	for _, known := range c.resp.Brokers {
		if known.NodeID == leader.ID {
			return
		}
	}
	if e, ok := leader.Endpoint(c.listener); ok {
		b := kmsg.NewProduceResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = leader.ID, e.Host, int32(e.Port), leader.Rack
		c.resp.Brokers = append(c.resp.Brokers, b)
	}
}

// currentLeader is what the metadata says of a partition's leader; -1s and nil when it knows none.
func currentLeader(image *metadata.Image, name string, partition int32) (id, epoch int32, broker *metadata.Broker) {
	if exists(image, name, partition) != nil {
		return -1, -1, nil
	}
	p := &image.TopicByName(name).Partitions[partition]
	return p.Leader, p.LeaderEpoch, image.Broker(p.Leader)
}

// later waits for what is not committed.
func (c *produceCall) later(timeout time.Duration) Later {
	w := *c
	return func(ctx context.Context) kmsg.Response {
		w.await(ctx, timeout)
		w.endpoints()
		return w.resp
	}
}

func (c *produceCall) await(ctx context.Context, timeout time.Duration) {
	timer := c.h.Clock.NewTimer(timeout)
	defer timer.Stop()
	await := replication.NewAwait(len(c.pending))
	defer await.Close()
	for i := range c.pending {
		await.Add(c.pending[i].partition)
	}
	for {
		waiting := c.pending[:0]
		for _, p := range c.pending {
			done, err := p.partition.Committed(p.lastOffset, p.leaderEpoch)
			switch {
			case !done:
				waiting = append(waiting, p)
			case err != nil:
				c.fail(p.answer, err)
			}
		}
		c.pending = waiting
		if len(waiting) == 0 {
			return
		}
		select {
		case <-await.C():
			continue
		case <-timer.C():
		case <-ctx.Done():
		}
		for _, p := range waiting {
			c.fail(p.answer, context.DeadlineExceeded) // the records stay
		}
		return
	}
}
