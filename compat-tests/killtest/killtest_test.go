// Package killtest kills the broker in the middle of producing and looks for what it had acknowledged.
//
// A cycle: start on the same data directory, verify, produce for a while with acks=all from several producers,
// kill -9. What a producer was acknowledged must be there once, at the offset of the acknowledgement, in the order
// in which it was sent. What was not acknowledged may be there (idempotent: once) or not.
package killtest

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/brokerproc"
)

var (
	cycles = flag.Int("cycles", 10, "produce, kill -9, restart, verify: this often")
	seed   = flag.Uint64("seed", 0, "of the times of the kills; 0 takes one from the clock")
)

const (
	partitions = 3
	topic      = "kill"
)

// A writer's records carry its number and a sequence number: 4 + 8 bytes, and some filling.
type written struct {
	writer int32
	seq    int64
	acked  bool
	offset int64
}

// ledger is all that was ever sent to one partition, in the order of sending per writer.
type ledger struct {
	mu   sync.Mutex
	sent map[int32][]*written // by writer
}

func (l *ledger) add(w *written) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[w.writer] = append(l.sent[w.writer], w)
}

func (l *ledger) ack(w *written, offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.acked, w.offset = true, offset
}

// forget takes back the acknowledgements from an offset on, and counts them: those records are lost.
func (l *ledger) forget(end int64) (lost int) {
	for _, ws := range l.sent {
		for _, w := range ws {
			if w.acked && w.offset >= end {
				w.acked = false
				lost++
			}
		}
	}
	return lost
}

type run struct {
	t        *testing.T
	broker   *brokerproc.Broker
	ledgers  [partitions]*ledger
	writers  int32
	rng      *rand.Rand
	fail     func() error // ends the broker, in the middle of its work
	dark     atomic.Bool  // the power is going: what is acknowledged from now on would reach nobody
	lossy    bool         // acknowledged records may be lost, from the end of a partition
	lost     int
	maxStart time.Duration
	verified [partitions]int64 // everything below was verified
	since    int32             // the first writer of the last cycle
}

// TestAcknowledgedRecordsSurviveKill: see the package comment. Every cycle has an idempotent producer for each
// partition and one that is not.
func TestAcknowledgedRecordsSurviveKill(t *testing.T) {
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("%d cycles, seed %d", *cycles, s)
	broker, err := brokerproc.New(t.TempDir(), "log.segment.bytes=1048576")
	require.NoError(t, err)
	t.Cleanup(func() { _ = broker.Kill() })
	r := &run{t: t, broker: broker, fail: broker.Kill, rng: rand.New(rand.NewPCG(s, 1))}
	for i := range r.ledgers {
		r.ledgers[i] = &ledger{sent: map[int32][]*written{}}
	}
	for cycle := range *cycles {
		start := time.Now()
		require.NoError(t, broker.Run(), "start of cycle %d", cycle)
		r.maxStart = max(r.maxStart, time.Since(start))
		if cycle == 0 {
			r.create()
		} else {
			r.verify(cycle)
		}
		r.produceAndKill()
	}
	require.NoError(t, broker.Run())
	r.verify(*cycles)
	total, acked := r.count()
	require.Greater(t, acked, *cycles, "hardly anything was acknowledged: the test tests nothing")
	t.Logf("%d records sent, %d acknowledged, all there; slowest start %s", total, acked, r.maxStart)
}

func (r *run) create() {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.broker.Addr))
	require.NoError(r.t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(r.t.Context(), partitions, 1, nil, topic)
	require.NoError(r.t, err)
}

// produceAndKill lets two producers for each partition run for 100 to 500 ms and kills the broker under them.
func (r *run) produceAndKill() {
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	r.since = r.writers
	burst := int64(5) // records a millisecond
	if r.rng.IntN(10) == 0 {
		burst = 300
	}
	for p := range int32(partitions) {
		for _, idempotent := range []bool{true, false} {
			writer := r.writers
			r.writers++
			wg.Go(func() { r.produce(ctx, p, writer, burst, idempotent) })
		}
	}
	time.Sleep(100*time.Millisecond + time.Duration(r.rng.IntN(400))*time.Millisecond)
	require.True(r.t, r.broker.Running(), "the broker ended by itself")
	require.NoError(r.t, r.fail())
	cancel()
	wg.Wait()
}

// produce writes until ctx ends. A record whose fate is unknown ends the writer's run: its order after a failure
// is only promised to idempotent producers, which retry inside the client.
func (r *run) produce(ctx context.Context, partition, writer int32, burst int64, idempotent bool) {
	opts := []kgo.Opt{kgo.SeedBrokers(r.broker.Addr), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(2000)}
	if !idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1), kgo.RecordRetries(0))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer cl.Close() // what is not acknowledged by now may be lost
	for seq := int64(0); ctx.Err() == nil; seq++ {
		w := &written{writer: writer, seq: seq}
		r.ledgers[partition].add(w)
		value := binary.BigEndian.AppendUint32(make([]byte, 0, 112), uint32(writer))
		value = binary.BigEndian.AppendUint64(value, uint64(seq))
		value = append(value, make([]byte, 100)...)
		cl.Produce(ctx, &kgo.Record{Partition: partition, Value: value}, func(rec *kgo.Record, err error) {
			if err == nil && !r.dark.Load() {
				r.ledgers[partition].ack(w, rec.Offset)
			}
		})
		if seq%burst == burst-1 {
			time.Sleep(time.Millisecond)
		}
	}
}

func (r *run) count() (total, acked int) {
	for _, l := range r.ledgers {
		for _, ws := range l.sent {
			for _, w := range ws {
				if total++; w.acked {
					acked++
				}
			}
		}
	}
	return total, acked
}

// verify reads what the last cycle wrote; every 25th time, and at the end, all of every partition.
func (r *run) verify(cycle int) {
	all := cycle%25 == 0 || cycle == *cycles || r.lossy
	for p := range int32(partitions) {
		from := r.verified[p]
		if all {
			from = 0
		}
		found, end, err := r.read(p, from)
		require.NoError(r.t, err, "cycle %d, partition %d", cycle, p)
		if r.lossy {
			r.lost += r.ledgers[p].forget(end)
			r.verified[p] = end
		}
		require.GreaterOrEqual(r.t, end, r.verified[p], "cycle %d: partition %d is shorter than it was", cycle, p)
		r.verified[p] = end
		for writer, sent := range r.ledgers[p].sent {
			if writer < r.since && !all {
				continue
			}
			if err := check(sent, found[writer]); err != nil {
				log := r.broker.Log()
				r.t.Fatalf("cycle %d, partition %d (%d to %d), writer %d: %v; %d acknowledged records lie beyond the end; the broker says\n%s",
					cycle, p, from, end, writer, err, r.ledgers[p].forget(end), log[max(0, len(log)-3000):])
			}
		}
	}
}

type place struct{ seq, offset int64 }

// check compares what a writer sent with what is in the log, in log order.
func check(sent []*written, found []place) error {
	at := map[int64]int64{}
	last := int64(-1)
	for _, f := range found {
		if before, ok := at[f.seq]; ok {
			return fmt.Errorf("record %d is there twice: at %d and %d", f.seq, before, f.offset)
		}
		if f.seq < last {
			return fmt.Errorf("record %d stands behind record %d", f.seq, last)
		}
		at[f.seq], last = f.offset, f.seq
	}
	for _, w := range sent {
		offset, ok := at[w.seq]
		if w.acked && !ok {
			return fmt.Errorf("record %d was acknowledged at offset %d and is lost", w.seq, w.offset)
		}
		if w.acked && offset != w.offset {
			return fmt.Errorf("record %d was acknowledged at offset %d and is at %d", w.seq, w.offset, offset)
		}
	}
	return nil
}

// read returns what is in a partition from an offset on, by writer, and its end; offsets must be consecutive.
func (r *run) read(partition int32, from int64) (map[int32][]place, int64, error) {
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.broker.Addr), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))
	if err != nil {
		return nil, 0, err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, 0, err
	}
	end, ok := ends.Lookup(topic, partition)
	if !ok || end.Err != nil {
		return nil, 0, errors.Join(errors.New("no end offset"), end.Err)
	}
	out := map[int32][]place{}
	for next := from; next < end.Offset; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, 0, err
		}
		for _, rec := range fetches.Records() {
			if rec.Offset != next || len(rec.Value) != 112 {
				return nil, 0, fmt.Errorf("record of %d bytes at offset %d, want 112 at %d", len(rec.Value), rec.Offset, next)
			}
			next++
			writer := int32(binary.BigEndian.Uint32(rec.Value))
			out[writer] = append(out[writer], place{int64(binary.BigEndian.Uint64(rec.Value[4:])), rec.Offset})
		}
	}
	return out, end.Offset, nil
}

func TestCheckFindsLossDuplicatesAndDisorder(t *testing.T) {
	sent := []*written{{seq: 0, acked: true, offset: 10}, {seq: 1, acked: true, offset: 11}, {seq: 2}}
	require.NoError(t, check(sent, []place{{0, 10}, {1, 11}}))
	require.NoError(t, check(sent, []place{{0, 10}, {1, 11}, {2, 12}}))
	require.ErrorContains(t, check(sent, []place{{0, 10}}), "is lost")
	require.ErrorContains(t, check(sent, []place{{0, 10}, {1, 11}, {1, 12}}), "twice")
	require.ErrorContains(t, check(sent, []place{{0, 10}, {2, 11}, {1, 12}}), "behind")
	require.ErrorContains(t, check(sent, []place{{0, 10}, {1, 12}}), "is at 12")
}
