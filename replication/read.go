package replication

import "minikafka/logstore"

// Isolation of a read.
type Isolation int8

// Isolations: up to the high watermark, the last stable offset, or (followers) the log end.
const (
	ReadUncommitted Isolation = iota
	ReadCommitted
	ReadLogEnd
)

// ReadRequest is one partition's part of a fetch.
type ReadRequest struct {
	Offset             int64
	MaxBytes           int32
	MinOne             bool
	Isolation          Isolation
	CurrentLeaderEpoch int32 // -1: do not check
	LastFetchedEpoch   int32 // -1: do not check
}

// ReadResult is what a fetch answers; the three offsets are valid with an error nil.
type ReadResult struct {
	Records                                         *logstore.Slice // nil: empty
	HighWatermark, LastStableOffset, LogStartOffset int64
	Aborted                                         []logstore.AbortedTxn // read_committed only, never nil then
	DivergingEpoch                                  int32                 // -1: none
	DivergingEndOffset                              int64
}

// end is the first offset that a reader must not see.
func (p *Partition) end(i Isolation) int64 {
	switch i {
	case ReadLogEnd:
		return p.log.LogEndOffset()
	case ReadCommitted:
		return p.lastStable()
	case ReadUncommitted:
	}
	return p.highWatermark.Load()
}

// Ready says whether Read may return records or an error. It costs some atomic loads: who waits for many
// partitions asks it before reading them all.
func (p *Partition) Ready(r *ReadRequest) bool {
	if p.role.Load().check(r.CurrentLeaderEpoch) != nil {
		return true
	}
	return r.Offset < p.end(r.Isolation) || r.Offset < p.log.LogStartOffset()
}

// Read reads as leader. The caller releases the records.
func (p *Partition) Read(r ReadRequest) (ReadResult, error) {
	if err := p.role.Load().check(r.CurrentLeaderEpoch); err != nil {
		return ReadResult{}, err
	}
	// The ends are taken before the records: what is answered as the last stable offset must not be
	// above what the aborted list was made for.
	end := p.end(r.Isolation)
	result := ReadResult{
		HighWatermark: p.highWatermark.Load(), LastStableOffset: p.lastStable(),
		LogStartOffset: p.log.LogStartOffset(), DivergingEpoch: -1, DivergingEndOffset: -1,
	}
	if r.Isolation == ReadCommitted {
		result.LastStableOffset = end
		result.Aborted = []logstore.AbortedTxn{}
	}
	if r.LastFetchedEpoch >= 0 {
		diverged, err := p.divergence(r, &result)
		if err != nil || diverged {
			return result, err
		}
	}
	read, err := p.log.Read(r.Offset, end, r.MaxBytes, r.MinOne)
	if err != nil {
		return ReadResult{}, err
	}
	result.Records = read.Records
	if read.Records == nil || r.Isolation != ReadCommitted {
		return result, nil
	}
	aborted, err := p.log.AbortedTxns(r.Offset, read)
	if err != nil {
		read.Records.Release()
		return ReadResult{}, err
	}
	result.Aborted = append(result.Aborted, aborted...)
	return result, nil
}

// divergence compares the reader's last epoch with the log's: when they part before the reader's offset,
// the answer says where, and nothing is read.
func (p *Partition) divergence(r ReadRequest, result *ReadResult) (bool, error) {
	epoch, endOffset := p.log.EndOffsetForEpoch(r.LastFetchedEpoch)
	if epoch < 0 || endOffset < 0 || r.Offset < result.LogStartOffset {
		return false, logstore.ErrOffsetOutOfRange
	}
	if epoch >= r.LastFetchedEpoch && endOffset >= r.Offset {
		return false, nil
	}
	result.DivergingEpoch, result.DivergingEndOffset = epoch, endOffset
	return true, nil
}

// EndOffsetForEpoch answers OffsetForLeaderEpoch: (-1, -1) when undefined.
func (p *Partition) EndOffsetForEpoch(currentLeaderEpoch, epoch int32) (foundEpoch int32, endOffset int64, err error) {
	if err := p.role.Load().check(currentLeaderEpoch); err != nil {
		return -1, -1, err
	}
	foundEpoch, endOffset = p.log.EndOffsetForEpoch(epoch)
	return foundEpoch, endOffset, nil
}
