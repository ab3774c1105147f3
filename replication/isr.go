package replication

import (
	"slices"
	"time"
)

// isrState says whether the controller has been asked to change the ISR.
type isrState int8

const (
	isrCommitted     isrState = iota // what we have is what the controller has
	isrPendingExpand                 // a proposal with one more member is under way
	isrPendingShrink                 // a proposal with fewer members is under way
)

// follower is what the leader knows of another replica, from its fetches.
type follower struct {
	id           int32
	logEndOffset int64 // the offset it last fetched at; -1 before its first fetch
	brokerEpoch  int64 // -1 unknown
	// eligible is false while the replica is fenced or shutting down: it cannot join the ISR.
	eligible bool

	lastFetch          time.Time
	lastFetchLeaderEnd int64     // the leader's log end offset at that fetch
	lastCaughtUp       time.Time // when it last had all that the leader had
}

// caughtUp says that the replica has everything, or had it not longer ago than lagMax.
func (f *follower) caughtUp(leaderEnd int64, now time.Time, lagMax time.Duration) bool {
	return f.logEndOffset == leaderEnd || now.Sub(f.lastCaughtUp) <= lagMax
}

// isr is the leader's view of its followers: progress, in-sync replicas, high watermark. It is pure:
// time comes in as an argument, a wish to change the ISR goes out as a result.
//
// Invariants: highWatermark never falls; every member of the maximal ISR has all records below it; while
// the committed ISR is smaller than min.insync.replicas it stands still (KIP-966).
type isr struct {
	self        int32
	lagMax      time.Duration // replica.lag.time.max.ms
	minInsync   int32         // min.insync.replicas as configured
	leaderEpoch int32
	epochStart  int64 // log end offset when this leadership began

	partitionEpoch int32
	committed      []int32 // as the controller has it
	state          isrState
	proposed       []int32    // while pending
	followers      []follower // all other replicas

	logEnd, highWatermark int64
}

// leadership is how a term as leader begins.
type leadership struct {
	self                        int32
	replicas, isr               []int32
	leaderEpoch, partitionEpoch int32
	logEnd, highWatermark       int64 // highWatermark: the checkpointed one
	minInsync                   int32
	lagMax                      time.Duration
	eligible                    func(id int32) bool // alive and not shutting down
	now                         time.Time
}

// lead begins a term. Members of the ISR are taken to be caught up now; of the others nothing is known.
func lead(l leadership) *isr {
	s := &isr{
		self: l.self, lagMax: l.lagMax, minInsync: l.minInsync, leaderEpoch: l.leaderEpoch,
		epochStart: l.logEnd, partitionEpoch: l.partitionEpoch, committed: slices.Clone(l.isr),
		logEnd: l.logEnd, highWatermark: min(l.highWatermark, l.logEnd),
	}
	for _, id := range l.replicas {
		if id == l.self {
			continue
		}
		f := follower{id: id, logEndOffset: -1, brokerEpoch: -1, eligible: l.eligible(id)}
		if slices.Contains(l.isr, id) {
			f.lastCaughtUp = l.now
		}
		s.followers = append(s.followers, f)
	}
	s.advance(l.now)
	return s
}

// effectiveMin is min.insync.replicas, but not more than there are replicas.
func (s *isr) effectiveMin() int { return min(int(s.minInsync), len(s.followers)+1) }

// underMin says that a write with acks=all cannot be accepted.
func (s *isr) underMin() bool { return len(s.committed) < s.effectiveMin() }

// inMaximal says whether a replica is in the ISR or might be, whatever the controller decides: a pending
// member counts at once, one that is to leave counts until it has left.
func (s *isr) inMaximal(id int32) bool {
	return slices.Contains(s.committed, id) || s.state == isrPendingExpand && slices.Contains(s.proposed, id)
}

// advance raises the high watermark to what every replica that counts has, and says whether it moved.
// Beside the maximal ISR a replica counts that is caught up and about to join.
func (s *isr) advance(now time.Time) bool {
	if s.underMin() {
		return false
	}
	hw := s.logEnd
	for i := range s.followers {
		f := &s.followers[i]
		if f.logEndOffset >= hw {
			continue
		}
		if s.inMaximal(f.id) || f.eligible && f.caughtUp(s.logEnd, now, s.lagMax) {
			hw = f.logEndOffset
		}
	}
	if hw <= s.highWatermark {
		return false
	}
	s.highWatermark = hw
	return true
}

// onAppend tells of the leader's new log end offset, and says whether the high watermark moved.
func (s *isr) onAppend(logEnd int64, now time.Time) bool {
	s.logEnd = max(s.logEnd, logEnd)
	return s.advance(now)
}

// followerFetch is a fetch of another replica: Offset is its log end.
type followerFetch struct {
	replica     int32
	offset      int64
	brokerEpoch int64 // -1: not told
	// eligible: alive, not shutting down, and of the broker epoch that the metadata knows.
	eligible bool
	now      time.Time
}

// onFetch takes a follower's report. proposal is the ISR to ask the controller for, nil for none; known
// is false when the replica is not in the assignment or an older broker epoch than before is reported:
// then nothing changes.
func (s *isr) onFetch(r followerFetch) (proposal []int32, known bool) {
	f := s.follower(r.replica)
	if f == nil || f.brokerEpoch > r.brokerEpoch {
		return nil, false
	}
	switch {
	case r.offset >= s.logEnd:
		f.lastCaughtUp = later(f.lastCaughtUp, r.now)
	case r.offset >= f.lastFetchLeaderEnd && !f.lastFetch.IsZero():
		f.lastCaughtUp = later(f.lastCaughtUp, f.lastFetch)
	}
	f.logEndOffset, f.brokerEpoch, f.eligible = r.offset, r.brokerEpoch, r.eligible
	f.lastFetchLeaderEnd, f.lastFetch = max(s.logEnd, f.lastFetchLeaderEnd), r.now
	proposal = s.expand(f)
	s.advance(r.now)
	return proposal, true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (s *isr) follower(id int32) *follower {
	for i := range s.followers {
		if s.followers[i].id == id {
			return &s.followers[i]
		}
	}
	return nil
}

// expand proposes a replica that has reached the high watermark and this term's first offset.
func (s *isr) expand(f *follower) []int32 {
	if s.state != isrCommitted || slices.Contains(s.committed, f.id) || !f.eligible ||
		f.logEndOffset < s.highWatermark || f.logEndOffset < s.epochStart {
		return nil
	}
	s.state = isrPendingExpand
	s.proposed = append(slices.Clone(s.committed), f.id)
	return s.proposed
}

// checkShrink proposes the ISR without the members that are too far behind; nil when all keep up or a
// proposal is under way. It is called every replica.lag.time.max.ms / 2.
func (s *isr) checkShrink(now time.Time) []int32 {
	if s.state != isrCommitted {
		return nil
	}
	keep := make([]int32, 0, len(s.committed))
	for _, id := range s.committed {
		f := s.follower(id)
		if id == s.self || f != nil && f.caughtUp(s.logEnd, now, s.lagMax) {
			keep = append(keep, id)
		}
	}
	if len(keep) == len(s.committed) {
		return nil
	}
	s.state, s.proposed = isrPendingShrink, keep
	return keep
}

// commit takes the ISR that the controller has, from its answer or from the metadata log. What is not
// newer than what we have changes nothing.
func (s *isr) commit(members []int32, partitionEpoch int32, now time.Time) {
	if partitionEpoch <= s.partitionEpoch {
		return
	}
	s.committed, s.partitionEpoch = slices.Clone(members), partitionEpoch
	s.state, s.proposed = isrCommitted, nil
	s.advance(now)
}

// refuse takes the controller's no: the committed ISR stands (OPERATION_NOT_ATTEMPTED, INELIGIBLE_REPLICA).
// After other answers the proposal stays pending until the metadata log tells the outcome.
func (s *isr) refuse(now time.Time) {
	s.state, s.proposed = isrCommitted, nil
	s.advance(now)
}

// setMinInsync takes a changed min.insync.replicas.
func (s *isr) setMinInsync(n int32, now time.Time) bool {
	s.minInsync = n
	return s.advance(now)
}

// setReplicas takes a changed assignment: what is known of replicas that stay is kept. New ones are not
// eligible until setEligible says so.
func (s *isr) setReplicas(replicas []int32) {
	var kept []follower
	for _, id := range replicas {
		if f := s.follower(id); f != nil {
			kept = append(kept, *f)
		} else if id != s.self {
			kept = append(kept, follower{id: id, logEndOffset: -1, brokerEpoch: -1})
		}
	}
	s.followers = kept
}

// setEligible takes the metadata's word on which replicas could join the ISR.
func (s *isr) setEligible(eligible func(id int32) bool) {
	for i := range s.followers {
		s.followers[i].eligible = eligible(s.followers[i].id)
	}
}
