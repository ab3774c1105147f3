package handlers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
	"minikafka/logstore"
	"minikafka/replication"
	"minikafka/txncoord"
)

// txnCommitByID is the version from which TxnOffsetCommit names topics by id.
const txnCommitByID = 6

// TxnOffsetCommit v0-v6. The offsets are checked as those of OffsetCommit, the transaction as a producer's.
func (h *Handlers) txnOffsetCommit(_ context.Context, _ *Request, req *kmsg.TxnOffsetCommitRequest) (kmsg.Response, Later) {
	version := req.Version
	commit := asOffsetCommit(req)
	if req.Group == "" {
		return asTxnCommit(groupcoord.CommitError(commit, kerr.InvalidGroupID)), nil
	}
	refused, known := admitCommits(commit, h.Image())
	if len(known) == 0 {
		return asTxnCommit(refused), nil
	}
	commit.Topics = known
	j := joining{
		transactionalID: req.TransactionalID, producerID: req.ProducerID, epoch: req.ProducerEpoch,
		adds: version >= txnCommitAdds, aborts: version >= txnCommitAborts,
	}
	return nil, func(ctx context.Context) kmsg.Response {
		resp, e := h.commitInTxn(ctx, j, commit)
		if e != nil {
			resp = groupcoord.CommitError(commit, txnCommitCode(e, version, j))
		}
		return asTxnCommit(mergeCommits(refused, resp))
	}
}

func (h *Handlers) commitInTxn(ctx context.Context, j joining, commit *kmsg.OffsetCommitRequest) (*kmsg.OffsetCommitResponse, error) {
	tp := txncoord.TopicPartition{Topic: groupcoord.Topic, Partition: h.Groups.PartitionFor(commit.Group)}
	p := h.Partitions.Partition(tp.Topic, tp.Partition)
	if p == nil || p.Log() == nil {
		return nil, kerr.NotCoordinator
	}
	row := h.join(ctx, j, map[txncoord.TopicPartition]*replication.Partition{tp: p})[tp]
	if row.err != nil {
		return nil, row.err
	}
	call := h.Groups.TxnOffsetCommit(groupcoord.Producer{
		ID: j.producerID, Epoch: j.epoch, VerifiedSince: row.verification.Since,
	}, commit)
	resp, e := groupcoord.Wait[*kmsg.OffsetCommitResponse](ctx, call)
	if e == nil {
		return resp, nil
	}
	if _, err, ready := call.Ready(); ready && (errors.Is(err, logstore.ErrProducerEpoch) || errors.Is(err, logstore.ErrTxnState)) {
		return nil, err
	}
	return nil, e
}

// txnCommitCode is what the client is told.
func txnCommitCode(err error, version int16, j joining) *kerr.Error {
	known := (*kerr.Error)(nil)
	switch {
	case errors.Is(err, logstore.ErrProducerEpoch), errors.Is(err, kerr.ProducerFenced):
		return kerr.InvalidProducerEpoch
	case errors.Is(err, logstore.ErrTxnState), errors.Is(err, kerr.TransactionAbortable) && !j.aborts:
		return kerr.InvalidTxnState
	case errors.Is(err, kerr.CoordinatorLoadInProgress) && version < 2:
		return kerr.CoordinatorNotAvailable
	case errors.As(err, &known):
		return known
	}
	return kerr.UnknownServerError
}

// asOffsetCommit is the request in the form of an OffsetCommit.
func asOffsetCommit(req *kmsg.TxnOffsetCommitRequest) *kmsg.OffsetCommitRequest {
	c := &kmsg.OffsetCommitRequest{
		Version: commitByID - 1, Group: req.Group, Generation: -1, MemberID: req.MemberID, InstanceID: req.InstanceID,
		RetentionTimeMillis: -1,
	}
	if req.Version >= txnCommitByID {
		c.Version = commitByID
	}
	if req.Version >= 3 {
		c.Generation = req.Generation
	}
	for _, t := range req.Topics {
		topic := kmsg.OffsetCommitRequestTopic{Topic: t.Topic, TopicID: t.TopicID}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetCommitRequestTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata,
			})
		}
		c.Topics = append(c.Topics, topic)
	}
	return c
}

func asTxnCommit(c *kmsg.OffsetCommitResponse) *kmsg.TxnOffsetCommitResponse {
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	resp.Topics = []kmsg.TxnOffsetCommitResponseTopic{}
	for _, t := range c.Topics {
		topic := kmsg.TxnOffsetCommitResponseTopic{Topic: t.Topic, TopicID: t.TopicID}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: p.ErrorCode})
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}
