package txncheck

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/compat-tests/txncheck/faultproxy"
)

// longestHold is beyond the time-out of a transaction.
const longestHold = 7 * time.Second

// faults is what is done to requests. The first protocol of transactions (EndTxn below v5, TxnOffsetCommit below v5)
// has one epoch for many transactions: there a request of one that comes late is one of the next, which KIP-890 was
// made for. Those are only cut, never held or repeated. AddPartitionsToTxn above v3 is between brokers: Apache Kafka
// sends it to itself, by its advertised address.
func faults(seed uint64) *faultproxy.Plan {
	rules := []faultproxy.Rule{
		{Key: kmsg.Produce, Delay: 0.01, Abandon: 0.015, Replay: 0.03, CutBefore: 0.003, CutAfter: 0.006},
		{Key: kmsg.EndTxn, Min: 5, Delay: 0.02, Abandon: 0.05, Replay: 0.05, CutBefore: 0.005, CutAfter: 0.02},
		{Key: kmsg.EndTxn, Max: 4, CutBefore: 0.01, CutAfter: 0.03},
		{Key: kmsg.TxnOffsetCommit, Min: 5, Delay: 0.02, Abandon: 0.04, Replay: 0.04, CutBefore: 0.005, CutAfter: 0.01},
		{Key: kmsg.TxnOffsetCommit, Max: 4, CutBefore: 0.01, CutAfter: 0.01},
		{Key: kmsg.AddPartitionsToTxn, Max: 3, Delay: 0.02, Abandon: 0.02, Replay: 0.02, CutBefore: 0.005, CutAfter: 0.01},
		{Key: kmsg.AddOffsetsToTxn, Delay: 0.02, Abandon: 0.02, Replay: 0.02, CutBefore: 0.005, CutAfter: 0.01},
		{Key: kmsg.InitProducerID, Delay: 0.03, Abandon: 0.03, Replay: 0.02, CutBefore: 0.01, CutAfter: 0.02},
		{Key: kmsg.Fetch, Delay: 0.002, CutBefore: 0.001, CutAfter: 0.001},
	}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetFetch, kmsg.FindCoordinator, kmsg.Metadata} {
		rules = append(rules, faultproxy.Rule{Key: key, CutBefore: 0.005, CutAfter: 0.005})
	}
	return faultproxy.NewPlan(seed, longestHold, rules...)
}
