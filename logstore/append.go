package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"minikafka/internal/invariant"
	"minikafka/protocol"
)

// Origin says who appends.
type Origin int8

// Origins. Client appends are checked for duplicates and sequences; Coordinator ones only for epochs;
// Replication keeps offsets and epochs as they came; Raft is the metadata log's leader.
const (
	OriginClient Origin = iota
	OriginCoordinator
	OriginReplication
	OriginRaft
)

// AppendInfo is what an append did.
type AppendInfo struct {
	FirstOffset, LastOffset int64 // inclusive last
	LogAppendTime           int64 // ms; -1 for CreateTime topics; of a duplicate its timestamp, as in Kafka
	LogStartOffset          int64
	Duplicate               bool // nothing was written: the offsets are the first write's
}

// preparedAppend is one append between its checks and its write. It lives in the Log, so that an append
// allocates nothing.
type preparedAppend struct {
	bytes        []byte
	firstOffset  int64
	nextOffset   int64
	maxTimestamp int64
}

// Append writes batches that protocol.Validate passed. Offsets and leader epoch are set in place: the
// caller's bytes change. logAppendTime is -1 for CreateTime. With flush.messages reached it returns when
// the records are on disk.
func (l *Log) Append(batches []byte, leaderEpoch int32, origin Origin, logAppendTime int64) (AppendInfo, error) {
	return l.AppendBy(AppendRules{Origin: origin}, batches, leaderEpoch, logAppendTime)
}

// AppendBy is Append with all of the rules.
func (l *Log) AppendBy(rules AppendRules, batches []byte, leaderEpoch int32, logAppendTime int64) (AppendInfo, error) {
	info, flush, err := l.append(batches, leaderEpoch, rules)
	if !info.Duplicate {
		info.LogAppendTime = logAppendTime
	}
	info.LogStartOffset = l.logStart.Load()
	if err == nil && flush {
		err = l.Flush()
	}
	return info, err
}

func (l *Log) append(batches []byte, leaderEpoch int32, rules AppendRules) (info AppendInfo, flush bool, err error) {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.usable(); err != nil {
		return info, false, err
	}
	if rules.Origin == OriginReplication {
		batches, err = l.prepareReplicated(batches, leaderEpoch)
	} else {
		err = l.stamp(batches, leaderEpoch)
	}
	if err != nil || len(batches) == 0 {
		info.FirstOffset, info.LastOffset = l.leo.Load(), l.leo.Load()-1
		return info, false, err
	}
	p := &l.prepared
	config := l.config.Load()
	if rules.Origin <= OriginCoordinator && len(batches) > int(config.SegmentBytes) {
		return info, false, fmt.Errorf("%w: %d bytes", ErrRecordListTooBig, len(batches))
	}
	dup, duplicate, err := l.checkProducers(p.bytes, rules)
	if err != nil {
		return info, false, err
	}
	if duplicate {
		info = AppendInfo{FirstOffset: dup.FirstOffset(), LastOffset: dup.LastOffset, LogAppendTime: dup.Timestamp, Duplicate: true}
		return info, dup.LastOffset >= l.recoveryPoint.Load() && config.FlushMessages == 1, nil
	}
	if err := l.write(p, config); err != nil {
		return info, false, err
	}
	info.FirstOffset, info.LastOffset = p.firstOffset, p.nextOffset-1
	p.bytes = nil
	return info, p.nextOffset-l.recoveryPoint.Load() >= config.FlushMessages, nil
}

// stamp gives the batches their offsets and leader epoch. Both lie outside the checksum.
func (l *Log) stamp(batches []byte, leaderEpoch int32) error {
	next := l.leo.Load()
	p := &l.prepared
	*p = preparedAppend{bytes: batches, firstOffset: next, maxTimestamp: -1}
	for at := 0; at < len(batches); {
		h, err := parseHeader(batches[at:], int64(at))
		if err != nil || h.magic != 2 || h.end() > int64(len(batches)) {
			return fmt.Errorf("%w: at byte %d of %d: %w", protocol.ErrCorrupt, at, len(batches), frameError(err))
		}
		binary.BigEndian.PutUint64(batches[at:], uint64(next))
		binary.BigEndian.PutUint32(batches[at+12:], uint32(leaderEpoch))
		next += h.lastOffset - h.baseOffset + 1
		p.maxTimestamp = max(p.maxTimestamp, h.maxTimestamp)
		at = int(h.end())
	}
	p.nextOffset = next
	return nil
}

func frameError(err error) error {
	if err == nil {
		return errShort
	}
	return err
}

// prepareReplicated checks what a follower fetched and returns what of it to append: batches of an epoch
// newer than the one fetched in are left out with all after them, as is a partial batch at the end.
func (l *Log) prepareReplicated(batches []byte, leaderEpoch int32) ([]byte, error) {
	p := &l.prepared
	next := l.leo.Load()
	*p = preparedAppend{firstOffset: next, maxTimestamp: -1}
	at := 0
	for at < len(batches) {
		h, err := parseHeader(batches[at:], int64(at))
		if err == nil && h.end() > int64(len(batches)) || errors.Is(err, errShort) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: at byte %d: %w", protocol.ErrCorrupt, at, err)
		}
		if h.epoch > leaderEpoch {
			break
		}
		b := batches[at:h.end()]
		if h.magic == 2 && crc32.Checksum(b[21:], castagnoli) != binary.BigEndian.Uint32(b[17:]) {
			return nil, fmt.Errorf("%w: wrong checksum at offset %d", protocol.ErrCorrupt, h.baseOffset)
		}
		if at == 0 {
			if err := l.acceptFirst(&h); err != nil {
				return nil, err
			}
			p.firstOffset, next = h.baseOffset, h.baseOffset
		}
		if h.baseOffset < next {
			return nil, fmt.Errorf("%w: offset %d after %d", protocol.ErrCorrupt, h.baseOffset, next-1)
		}
		next = h.lastOffset + 1
		p.maxTimestamp = max(p.maxTimestamp, h.maxTimestamp)
		at = int(h.end())
	}
	p.bytes, p.nextOffset = batches[:at], next
	return batches[:at], nil
}

// acceptFirst holds the first replicated batch against the log end. An empty log may begin in the middle
// of a batch (the leader's log start was moved there): then it starts at the batch's base offset.
func (l *Log) acceptFirst(h *batchHeader) error {
	end := l.leo.Load()
	if h.baseOffset >= end {
		return nil
	}
	if end == l.logStart.Load() && h.lastOffset >= end {
		return l.startAt(h.baseOffset, end)
	}
	return fmt.Errorf("%w: first offset %d is below the log end %d", protocol.ErrCorrupt, h.baseOffset, end)
}

// write puts the prepared batches into the active segment and makes them visible. After an error nothing
// of them is: the directory is offline, and recovery cuts what reached the file.
func (l *Log) write(p *preparedAppend, config *Config) error {
	if err := l.rollIfDue(p, config); err != nil {
		return err
	}
	s := l.segments().active()
	if end := l.leo.Load(); p.firstOffset < end { // in an if, as the arguments would be allocated each time
		invariant.Check(false, "append at %d below the log end %d", p.firstOffset, end)
	}
	if err := l.assignEpochs(p.bytes); err != nil {
		return l.ioFailed("writing the leader epochs of", err)
	}
	if err := s.write(p.bytes); err != nil {
		return l.ioFailed("appending to", err)
	}
	if err := s.indexAppended(p.bytes, config.IndexIntervalBytes); err != nil {
		return l.ioFailed("indexing", err)
	}
	if err := l.updateProducers(s, p.bytes); err != nil {
		return l.ioFailed("indexing transactions of", err)
	}
	l.publish(s, p.nextOffset, int64(len(p.bytes)))
	return nil
}

// publish makes an append visible: first the log end, then the size. A reader loads them the other way
// round, so that no byte within a size it saw is beyond the log end it compares with.
func (l *Log) publish(s *segment, end, size int64) {
	l.leo.Store(end)
	s.size.Add(size)
}
