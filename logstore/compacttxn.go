package logstore

import (
	"slices"

	"minikafka/protocol"
)

// cleanedTxns follows the transactions of the batches that compaction reads, in order: which data is
// aborted, and which markers end a transaction of which nothing is left (Kafka's
// CleanedTransactionMetadata).
type cleanedTxns struct {
	waiting   []abortedEntry // by first offset: not reached yet
	aborted   map[int64]*abortedSeen
	committed map[int64]bool // producers with data of a transaction that was not aborted
	// kept gets the row of each aborted transaction that still had data; nil: nobody wants to know.
	kept func(abortedEntry) error
}

type abortedSeen struct {
	entry abortedEntry
	data  bool // a batch of it was read
}

func newCleanedTxns() *cleanedTxns {
	return &cleanedTxns{aborted: map[int64]*abortedSeen{}, committed: map[int64]bool{}}
}

// add tells of aborted transactions before the first batch of any of them is read.
func (t *cleanedTxns) add(entries []abortedEntry) {
	for _, e := range entries {
		i, _ := slices.BinarySearchFunc(t.waiting, e, func(a, b abortedEntry) int {
			if a.FirstOffset <= b.FirstOffset {
				return -1
			}
			return 1
		})
		t.waiting = slices.Insert(t.waiting, i, e)
	}
}

func (t *cleanedTxns) reach(offset int64) {
	n := 0
	for n < len(t.waiting) && t.waiting[n].FirstOffset <= offset {
		e := t.waiting[n]
		if t.aborted[e.ProducerID] == nil {
			t.aborted[e.ProducerID] = &abortedSeen{entry: e}
		}
		n++
	}
	t.waiting = t.waiting[n:]
}

// data notes a data batch and says whether it is of an aborted transaction.
func (t *cleanedTxns) data(b protocol.Batch) (aborted bool) {
	t.reach(b.LastOffset())
	if !b.IsTransactional() {
		return false
	}
	if seen := t.aborted[b.ProducerID()]; seen != nil {
		seen.data = true
		return true
	}
	t.committed[b.ProducerID()] = true
	return false
}

// control notes a control batch and says whether it ends a transaction without data, so that it may go.
func (t *cleanedTxns) control(b protocol.Batch) (empty bool, err error) {
	t.reach(b.LastOffset())
	if b.Count() == 0 {
		return true, nil // cleaned before
	}
	m, ok, err := protocol.MarkerOf(b)
	if err != nil || !ok {
		return false, err
	}
	id := b.ProducerID()
	if m.Commit {
		had := t.committed[id]
		delete(t.committed, id)
		return !had, nil
	}
	seen := t.aborted[id]
	delete(t.aborted, id)
	if seen == nil || !seen.data {
		return true, nil
	}
	if t.kept != nil {
		err = t.kept(seen.entry)
	}
	return false, err
}

// abortedEntries are the rows of the transaction indexes that touch [from, upTo), as collect finds them.
func (l *Log) abortedEntries(segments segmentList, from, upTo int64) ([]abortedEntry, error) {
	var list []abortedEntry
	for _, s := range segments[segments.floor(from):] {
		s.indexMu.Lock()
		txns, err := s.txns()
		complete := false
		if err == nil {
			for _, e := range txns.entries {
				if e.LastOffset >= from && e.FirstOffset < upTo {
					list = append(list, e)
				}
				if e.LastStableOffset >= upTo {
					complete = true
					break
				}
			}
		}
		s.indexMu.Unlock()
		if err != nil {
			return nil, err
		}
		if complete {
			break
		}
	}
	return list, nil
}
