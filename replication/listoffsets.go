package replication

import "minikafka/logstore"

// Special timestamps of ListOffsets.
const (
	TimestampLatest           int64 = -1
	TimestampEarliest         int64 = -2
	TimestampMax              int64 = -3
	TimestampEarliestLocal    int64 = -4
	TimestampLatestTiered     int64 = -5
	TimestampEarliestToUpload int64 = -6
)

// ListOffsetsRequest is one partition's part of a ListOffsets request.
type ListOffsetsRequest struct {
	Timestamp          int64
	Isolation          Isolation
	CurrentLeaderEpoch int32 // -1: do not check
}

// ListOffset finds the offset of a timestamp, or of a special one; Offset -1: none.
func (p *Partition) ListOffset(r ListOffsetsRequest) (logstore.TimestampedOffset, error) {
	none := logstore.TimestampedOffset{Offset: -1, Timestamp: -1, LeaderEpoch: -1}
	role := p.role.Load()
	if err := role.check(r.CurrentLeaderEpoch); err != nil {
		return none, err
	}
	end := p.end(r.Isolation)
	behind := r.Isolation != ReadLogEnd && p.behindEpoch()
	switch {
	case r.Timestamp == TimestampLatest:
		if behind {
			return none, ErrOffsetNotAvailable
		}
		return logstore.TimestampedOffset{Offset: end, Timestamp: -1, LeaderEpoch: role.leaderEpoch}, nil
	case r.Timestamp == TimestampEarliest, r.Timestamp == TimestampEarliestLocal:
		start := p.log.LogStartOffset()
		return logstore.TimestampedOffset{Offset: start, Timestamp: -1, LeaderEpoch: p.log.EpochAt(start)}, nil
	case r.Timestamp == TimestampLatestTiered, r.Timestamp == TimestampEarliestToUpload:
		return none, nil // nothing is tiered
	case r.Timestamp == TimestampMax:
		found, err := p.log.MaxTimestamp()
		return p.visible(found, end, behind, err)
	case r.Timestamp < 0:
		return none, ErrUnsupportedTimestamp
	}
	limit := end
	if behind {
		limit = p.log.LogEndOffset() // to know whether there is one that cannot be answered yet
	}
	found, err := p.log.OffsetForTimestamp(r.Timestamp, limit)
	return p.visible(found, end, behind, err)
}

// visible hides a found offset that the reader must not see yet.
func (p *Partition) visible(
	found logstore.TimestampedOffset, end int64, behind bool, err error,
) (logstore.TimestampedOffset, error) {
	none := logstore.TimestampedOffset{Offset: -1, Timestamp: -1, LeaderEpoch: -1}
	switch {
	case err != nil:
		return none, err
	case found.Offset < 0:
		return none, nil
	case found.Offset < end:
		return found, nil
	case behind:
		return none, ErrOffsetNotAvailable
	}
	return none, nil
}

// behindEpoch says that the high watermark has not reached this term's first offset: what the old leader
// had committed is not known yet.
func (p *Partition) behindEpoch() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.isr != nil && p.highWatermark.Load() < p.isr.epochStart
}
