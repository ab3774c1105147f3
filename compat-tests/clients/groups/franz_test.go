package groups

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/brokerproc"
)

// franz joins with franz-go. A record counts as processed when the broker has answered its commit with success.
func franz(options ...kgo.Opt) func(t *testing.T, addr, topic, group, name string, l *ledger) member {
	return func(t *testing.T, addr, topic, group, name string, l *ledger) member {
		t.Helper()
		dial := &line{}
		cl, err := kgo.NewClient(append([]kgo.Opt{
			kgo.SeedBrokers(addr), kgo.Dialer(dial.DialContext), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ClientID(name),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
			kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(200 * time.Millisecond), kgo.FetchMaxWait(100 * time.Millisecond),
		}, options...)...)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				fetches := cl.PollRecords(ctx, 40)
				records := fetches.Records()
				if len(records) > 0 && ctx.Err() == nil {
					limited, cancelCommit := context.WithTimeout(context.Background(), 5*time.Second)
					if err := cl.CommitRecords(limited, records...); err == nil {
						for _, r := range records {
							l.processed(name, r.Partition, r.Offset)
						}
					}
					cancelCommit()
				}
				cl.AllowRebalance()
			}
		}()
		stop := func() { cancel(); <-done }
		t.Cleanup(func() { stop(); dial.cut(); go cl.CloseAllowingRebalance() })
		return member{
			leave: func() { stop(); cl.CloseAllowingRebalance() },
			kill:  func() { stop(); dial.cut(); go cl.CloseAllowingRebalance() },
		}
	}
}

func TestFranzGoEager(t *testing.T) {
	story(t, brokerproc.Bootstrap(t), true, franz(kgo.Balancers(kgo.RangeBalancer())))
}

func TestFranzGoCooperative(t *testing.T) {
	story(t, brokerproc.Bootstrap(t), true, franz(kgo.Balancers(kgo.CooperativeStickyBalancer())))
}

// serverSide are a broker's settings with which a member of the consumer protocol that was killed is missed
// as soon as one of the classic protocol.
var serverSide = []string{"group.consumer.min.session.timeout.ms=6000", "group.consumer.session.timeout.ms=6000"}

// consumerProtocol is franz-go's KIP-848.
func consumerProtocol() func(t *testing.T, addr, topic, group, name string, l *ledger) member {
	return franz(kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
}

func TestFranzGoConsumerProtocol(t *testing.T) {
	t.Parallel()
	story(t, brokerproc.Start(t, serverSide...).Addr, true, consumerProtocol())
}

// TestGroupChangesItsProtocolWhileItReads: members of both protocols are in one group, which is converted with
// the first that comes and with the last that goes.
func TestGroupChangesItsProtocolWhileItReads(t *testing.T) {
	t.Parallel()
	classic, next := franz(kgo.Balancers(kgo.CooperativeStickyBalancer(), kgo.RangeBalancer())), consumerProtocol()
	for what, isNext := range map[string]map[string]bool{
		"upgrade": {"b": true, "c": true}, "downgrade": {"a": true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			story(t, brokerproc.Start(t, serverSide...).Addr, true, func(t *testing.T, addr, topic, group, name string, l *ledger) member {
				t.Helper()
				if isNext[name] {
					return next(t, addr, topic, group, name, l)
				}
				return classic(t, addr, topic, group, name, l)
			})
		})
	}
}
