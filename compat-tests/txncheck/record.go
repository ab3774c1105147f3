package txncheck

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"minikafka/compat-tests/txncheck/history"
)

// recorder takes down what the clients do. A transaction belongs to the goroutine that began it until all have ended.
type recorder struct {
	start   time.Time
	writers atomic.Uint32

	mu   sync.Mutex
	txns []*history.Txn
}

func (r *recorder) now() time.Duration { return time.Since(r.start) }

// writer is the number of a client's life. Those of later lives are higher.
func (r *recorder) writer() uint32 { return r.writers.Add(1) }

func (r *recorder) begin(t *history.Txn) *history.Txn {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.txns = append(r.txns, t)
	return t
}

// add makes a record and notes that it is about to be sent.
func add(t *history.Txn, value history.Value, p history.Partition, source history.Value) *kgo.Record {
	t.Writes = append(t.Writes, history.Write{Value: value, Partition: p, Offset: -1, Source: source})
	data := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(value))
	return &kgo.Record{Topic: p.Topic, Partition: p.Index, Value: binary.BigEndian.AppendUint64(data, uint64(source))}
}

// acked notes the offsets of the last records of a transaction; the error is the first of them.
func acked(t *history.Txn, results kgo.ProduceResults) error {
	writes := t.Writes[len(t.Writes)-len(results):]
	byValue := make(map[history.Value]*history.Write, len(writes))
	for i := range writes {
		byValue[writes[i].Value] = &writes[i]
	}
	for _, r := range results {
		if r.Err == nil {
			value, _ := values(r.Record)
			byValue[value].Offset = r.Record.Offset
		}
	}
	return results.FirstErr()
}

// values are a record's own and that of what it is a copy of.
func values(r *kgo.Record) (value, source history.Value) {
	if len(r.Value) != 16 {
		return 0, 0 // nobody sends this: the checker will say so
	}
	return history.Value(binary.BigEndian.Uint64(r.Value)), history.Value(binary.BigEndian.Uint64(r.Value[8:]))
}

var errKilled = errors.New("the client was killed")
