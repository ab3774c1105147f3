package broker_test

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/brokertest"
)

// pipeline sends all requests in one write on a connection of its own, and returns their answers in order.
func pipeline(t *testing.T, addr string, requests ...kmsg.Request) []kmsg.Response {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	require.NoError(t, nc.SetDeadline(time.Now().Add(30*time.Second)))
	format := kmsg.NewRequestFormatter()
	var sent []byte
	for i, req := range requests {
		sent = append(sent, format.AppendRequest(nil, req, int32(i))...)
	}
	go func() { _, _ = nc.Write(sent) }()
	answers := make([]kmsg.Response, len(requests))
	for i, req := range requests {
		var head [8]byte
		_, err := io.ReadFull(nc, head[:])
		require.NoError(t, err)
		require.EqualValues(t, i, binary.BigEndian.Uint32(head[4:]), "answers come in the order of the requests")
		body := make([]byte, binary.BigEndian.Uint32(head[:])-4)
		_, err = io.ReadFull(nc, body)
		require.NoError(t, err)
		answers[i] = req.ResponseKind()
		answers[i].SetVersion(req.GetVersion())
		if answers[i].IsFlexible() {
			body = body[1:] // no tags in the header
		}
		require.NoError(t, answers[i].ReadFrom(body))
	}
	return answers
}

func initProducer(id string) *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 4, &id, 60000
	return req
}

func addPartition(id string, producer int64, epoch int16) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch = 3, id, producer, epoch
	req.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "t", Partitions: []int32{int32(epoch) % 2}}}
	return req
}

func endTransaction(id string, producer int64, epoch int16, commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 5, id, producer, epoch, commit
	return req
}

// coordinated is a broker with the topic "t" and both coordinators' topics.
func coordinated(t *testing.T, properties ...string) *brokertest.Broker {
	t.Helper()
	b := brokertest.Start(t, properties...)
	c := client(t, b.Addr)
	createTopic(t, c, "t", 2)
	for _, kind := range []int8{0, 1} {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = kind, "x", []string{"x"}
		resp, err := req.RequestWith(t.Context(), c)
		require.NoError(t, err)
		require.Zero(t, resp.Coordinators[0].ErrorCode)
	}
	return b
}

// A client may send its next request before it has the answer to the last. Whatever a coordinator does in the
// background, the requests of a connection are decided one after the other: each of these is right only if
// all before it were.
func TestPipelinedTransactionsAreDecidedInOrder(t *testing.T) {
	b := coordinated(t)
	got := pipeline(t, b.Addr, initProducer("p"))[0].(*kmsg.InitProducerIDResponse)
	require.Zero(t, got.ErrorCode)
	producer := got.ProducerID
	const transactions = 100
	var requests []kmsg.Request
	for epoch := range int16(transactions) {
		requests = append(requests, addPartition("p", producer, epoch), endTransaction("p", producer, epoch, epoch%3 != 0))
	}
	requests = append(requests,
		addPartition("p", producer, transactions), // open when the next producer comes
		initProducer("p"),
		endTransaction("p", producer, transactions, true), // of the one before
		initProducer("p"))
	answers := pipeline(t, b.Addr, requests...)
	for epoch := range transactions {
		for _, p := range answers[2*epoch].(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions {
			require.Zero(t, p.ErrorCode, "transaction %d", epoch)
		}
		ended := answers[2*epoch+1].(*kmsg.EndTxnResponse)
		require.Zero(t, ended.ErrorCode, "transaction %d", epoch)
		require.EqualValues(t, epoch+1, ended.ProducerEpoch)
	}
	last := answers[2*transactions:]
	second := last[1].(*kmsg.InitProducerIDResponse)
	require.Zero(t, second.ErrorCode)
	require.Equal(t, kerr.ProducerFenced.Code, last[2].(*kmsg.EndTxnResponse).ErrorCode)
	require.Equal(t, second.ProducerEpoch+1, last[3].(*kmsg.InitProducerIDResponse).ProducerEpoch)
}

func TestPipelinedOffsetsAreCommittedInOrder(t *testing.T) {
	b := coordinated(t)
	var requests []kmsg.Request
	for i := range 100 {
		commit := kmsg.NewPtrOffsetCommitRequest()
		commit.Version, commit.Group, commit.Generation = 8, "g", -1
		commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "t", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: int64(i)}}}}
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version, fetch.Group = 7, "g"
		requests = append(requests, commit, fetch)
	}
	answers := pipeline(t, b.Addr, requests...)
	for i := range 100 {
		require.Zero(t, answers[2*i].(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
		require.EqualValues(t, i, answers[2*i+1].(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0].Offset)
	}
}
