// Package fresh measures what the first user of a broker waits for: the first record of its first group, for which
// __consumer_offsets is made, and the creation of a topic with many partitions.
package fresh

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/brokerproc"
)

var (
	brokers     = flag.Int("brokers", 3, "fresh brokers to start one after the other")
	bound       = flag.Duration("bound", 5*time.Second, "the longest that a first record may take")
	partitions  = flag.Int("partitions", 100, "partitions of the topic that is created")
	createBound = flag.Duration("create-bound", 20*time.Second, "the longest that the creation may take")
)

// TestFirstRecordOfTheFirstGroup starts fresh brokers with one record in a topic, and a group on each.
func TestFirstRecordOfTheFirstGroup(t *testing.T) {
	var took []time.Duration
	for range *brokers {
		took = append(took, firstRecord(t))
	}
	slices.Sort(took)
	t.Logf("first record of the first group of %d fresh brokers: p50 %s, max %s", len(took), took[len(took)/2], took[len(took)-1])
	if longest := took[len(took)-1]; longest > *bound {
		t.Errorf("the longest took %s, the bound is %s; all: %v", longest, *bound, took)
	}
}

func firstRecord(t *testing.T) time.Duration {
	b := brokerproc.Start(t, "group.initial.rebalance.delay.ms=0")
	defer func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	producer, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if _, err := kadm.NewClient(producer).CreateTopic(ctx, 1, 1, nil, "first"); err != nil {
		t.Fatal(err)
	}
	if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "first", Value: []byte("record")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	member, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumerGroup("group"), kgo.ConsumeTopics("first"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	fetches := member.PollFetches(ctx)
	took := time.Since(begin)
	if err := fetches.Err(); err != nil || fetches.NumRecords() != 1 {
		t.Fatalf("%d records, %v", fetches.NumRecords(), err)
	}
	member.Close()
	return took
}

// TestCreationOfManyPartitions creates topics, one after the other.
func TestCreationOfManyPartitions(t *testing.T) {
	b := brokerproc.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range 3 {
		begin := time.Now()
		if _, err := kadm.NewClient(client).CreateTopic(ctx, int32(*partitions), 1, nil, fmt.Sprint("many-", i)); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		t.Logf("created %d partitions in %s", *partitions, took)
		if took > *createBound {
			t.Errorf("that is more than %s", *createBound)
		}
	}
}
