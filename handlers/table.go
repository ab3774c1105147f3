package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/protocol"
)

// Request is what a handler knows beside the body.
type Request struct {
	protocol.Header
	Listener   string // the listener's name: answers carry endpoints of the same one
	ClientHost string // "/127.0.0.1", as Kafka writes it
	Principal  string // "User:ANONYMOUS"
	Software   *Software
}

// Software is what the connection's client said of itself in ApiVersions; one per connection.
type Software struct{ Name, Version string }

// Later completes a response off the connection's goroutine. It must not touch the request: its bytes
// belong to the connection again once the handler has returned. ctx ends with the connection.
type Later func(ctx context.Context) kmsg.Response

// API is one row: a key, what is served of it, and its handler.
type API struct {
	Key, Min, Max int16
	// AdvertisedMin differs from Min for Produce alone (KAFKA-18659).
	AdvertisedMin int16
	handle        func(*Handlers, context.Context, *Request, kmsg.Request) (kmsg.Response, Later)
}

func api[R kmsg.Request](key kmsg.Key, lo, hi int16, fn func(*Handlers, context.Context, *Request, R) (kmsg.Response, Later)) API {
	return API{Key: int16(key), Min: lo, Max: hi, AdvertisedMin: lo,
		handle: func(h *Handlers, ctx context.Context, r *Request, body kmsg.Request) (kmsg.Response, Later) {
			return fn(h, ctx, r, body.(R))
		}}
}

// advertised makes a row that ApiVersions shows from an older version on than is served.
func advertised(from int16, a API) API {
	a.AdvertisedMin = from
	return a
}

// Lookup finds the row of a key; false: the connection is closed.
func Lookup(key int16) (API, bool) {
	for _, a := range Table {
		if a.Key == key {
			return a, true
		}
	}
	return API{}, false
}

// Serve calls the row's handler. A nil response with a nil Later is no answer at all (Produce acks=0).
func (h *Handlers) Serve(ctx context.Context, a API, r *Request, body kmsg.Request) (kmsg.Response, Later) {
	return a.handle(h, ctx, r, body)
}

// Table is every API that is served, by key. ApiVersions, dispatch, docs/apis.md and the coverage test derive from it.
var Table = []API{
	advertised(0, api(kmsg.Produce, 3, 13, (*Handlers).produce)),
	api(kmsg.Fetch, 4, 18, (*Handlers).fetch),
	api(kmsg.ListOffsets, 1, 11, (*Handlers).listOffsets),
	api(kmsg.Metadata, 0, 13, (*Handlers).metadata),
	api(kmsg.OffsetCommit, 2, 10, (*Handlers).offsetCommit),
	api(kmsg.OffsetFetch, 1, 10, (*Handlers).offsetFetch),
	api(kmsg.FindCoordinator, 0, 6, (*Handlers).findCoordinator),
	api(kmsg.JoinGroup, 0, 9, (*Handlers).joinGroup),
	api(kmsg.Heartbeat, 0, 4, (*Handlers).heartbeat),
	api(kmsg.LeaveGroup, 0, 5, (*Handlers).leaveGroup),
	api(kmsg.SyncGroup, 0, 5, (*Handlers).syncGroup),
	api(kmsg.DescribeGroups, 0, 6, (*Handlers).describeGroups),
	api(kmsg.ListGroups, 0, 5, (*Handlers).listGroups),
	api(kmsg.ApiVersions, 0, 5, (*Handlers).apiVersions),
	api(kmsg.CreateTopics, 2, 7, (*Handlers).createTopics),
	api(kmsg.DeleteTopics, 1, 6, (*Handlers).deleteTopics),
	api(kmsg.DeleteRecords, 0, 2, (*Handlers).deleteRecords),
	api(kmsg.InitProducerID, 0, 5, (*Handlers).initProducerID),
	api(kmsg.OffsetForLeaderEpoch, 2, 4, (*Handlers).offsetForLeaderEpoch),
	api(kmsg.AddPartitionsToTxn, 0, 5, (*Handlers).addPartitionsToTxn),
	api(kmsg.AddOffsetsToTxn, 0, 4, (*Handlers).addOffsetsToTxn),
	api(kmsg.EndTxn, 0, 5, (*Handlers).endTxn),
	api(kmsg.WriteTxnMarkers, 1, 2, (*Handlers).writeTxnMarkers),
	api(kmsg.TxnOffsetCommit, 0, 6, (*Handlers).txnOffsetCommit),
	api(kmsg.DescribeConfigs, 1, 4, (*Handlers).describeConfigs),
	api(kmsg.AlterConfigs, 0, 2, (*Handlers).alterConfigs),
	api(kmsg.DescribeLogDirs, 1, 5, (*Handlers).describeLogDirs),
	api(kmsg.CreatePartitions, 0, 3, (*Handlers).createPartitions),
	api(kmsg.DeleteGroups, 0, 3, (*Handlers).deleteGroups),
	api(kmsg.IncrementalAlterConfigs, 0, 1, (*Handlers).incrementalAlterConfigs),
	api(kmsg.OffsetDelete, 0, 0, (*Handlers).offsetDelete),
	api(kmsg.DescribeCluster, 0, 2, (*Handlers).describeCluster),
	api(kmsg.DescribeProducers, 0, 0, (*Handlers).describeProducers),
	api(kmsg.DescribeTransactions, 0, 0, (*Handlers).describeTransactions),
	api(kmsg.ListTransactions, 0, 2, (*Handlers).listTransactions),
	api(kmsg.ConsumerGroupHeartbeat, 0, 1, (*Handlers).consumerGroupHeartbeat),
	api(kmsg.ConsumerGroupDescribe, 0, 1, (*Handlers).consumerGroupDescribe),
	api(kmsg.DescribeTopicPartitions, 0, 0, (*Handlers).describeTopicPartitions),
}
