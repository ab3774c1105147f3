package groupcoord

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// rebalanceOrComplete starts a rebalance where one can start; where one runs, it may be over now.
func (m *Machine) rebalanceOrComplete(g *group, reason string) {
	if g.state == PreparingRebalance {
		m.maybeCompleteJoin(g)
		return
	}
	m.prepareRebalance(g, reason)
}

func (m *Machine) maybeCompleteJoin(g *group) {
	if g.state == PreparingRebalance && !g.initialDelay && g.allJoined() {
		m.completeJoin(g)
	}
}

// prepareRebalance starts the join phase.
func (m *Machine) prepareRebalance(g *group, reason string) {
	if g.state == CompletingRebalance {
		m.failSyncs(g, kerr.RebalanceInProgress)
	}
	m.endSync(g)
	initial := g.state == Empty
	g.transition(PreparingRebalance, m.nowMs())
	m.event(g, "group rebalances", "reason", reason)
	if !initial {
		if g.allJoined() {
			m.completeJoin(g)
			return
		}
		m.armJoin(g, g.rebalanceTimeout())
		return
	}
	g.initialDelay, g.newMemberAdded = true, false
	g.joinDelay = m.settings.InitialRebalanceDelay
	g.joinRemaining = max(g.rebalanceTimeout()-g.joinDelay, 0)
	if g.joinDelay == 0 {
		m.completeJoin(g) // a timer of zero would do the same, later
		return
	}
	m.armJoin(g, g.joinDelay)
}

func (m *Machine) armJoin(g *group, after time.Duration) {
	m.timers.set(&g.join, m.now.Add(after), joinTimer, g.id, "")
}

// joinExpired: the initial delay or the join phase is over.
func (m *Machine) joinExpired(g *group, _ string) {
	if g.state != PreparingRebalance {
		return
	}
	if g.initialDelay && g.newMemberAdded && g.joinRemaining > 0 {
		g.newMemberAdded = false
		delay := min(m.settings.InitialRebalanceDelay, g.joinRemaining)
		g.joinRemaining = max(g.joinRemaining-g.joinDelay, 0)
		g.joinDelay = delay
		m.armJoin(g, delay)
		return
	}
	m.completeJoin(g)
}

// completeJoin makes the next generation of those who joined. Dynamic members that did not are removed;
// static ones stay until their session ends.
func (m *Machine) completeJoin(g *group) {
	g.join.at, g.initialDelay = time.Time{}, false
	for _, member := range append([]*member(nil), g.members...) {
		if member.join == 0 && member.instance == nil {
			g.remove(member.id)
			m.answerSync(g, member, kerr.UnknownMemberID)
		}
	}
	if !g.electJoined() && len(g.members) > 0 {
		m.armJoin(g, g.rebalanceTimeout())
		m.event(g, "nobody rejoined, the join phase starts again")
		return
	}
	g.nextGeneration(m.nowMs())
	if g.state == Empty {
		m.record(g.record())
		m.event(g, "group is empty")
		return
	}
	for _, member := range g.members {
		if member.join != 0 {
			m.reply(member.join, g.joinAnswer(member, g.leader == member.id))
			g.park(member, 0)
		}
		m.armSession(g, member, member.sessionTimeout)
		member.isNew, member.awaitingSync = false, true
	}
	m.timers.set(&g.sync, m.now.Add(g.rebalanceTimeout()), syncTimer, g.id, "")
	m.event(g, "generation is complete", "leader", g.leader, "protocol", *g.protocol)
}

// SyncGroup parks the request until the leader's has come, or answers it: a *kmsg.SyncGroupResponse. The
// request's bytes are kept.
func (m *Machine) SyncGroup(now time.Time, from coordinator.Token, req *kmsg.SyncGroupRequest) coordinator.Outcome {
	return m.step(now, func() { m.syncGroup(from, req) })
}

// SyncError is an answer that carries an error.
func SyncError(e *kerr.Error) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.ErrorCode, resp.MemberAssignment = code(e), []byte{}
	return resp
}

func (m *Machine) syncGroup(from coordinator.Token, req *kmsg.SyncGroupRequest) {
	if c := m.consumers[req.Group]; c != nil {
		m.syncConsumerGroup(c, from, req)
		return
	}
	g := m.groups[req.Group]
	if g == nil || g.state == Empty {
		m.reply(from, SyncError(kerr.UnknownMemberID))
		return
	}
	e := g.validate(req.MemberID, req.InstanceID)
	switch {
	case e != nil:
	case req.Generation != g.generation:
		e = kerr.IllegalGeneration
	case differs(req.ProtocolType, &g.protocolType) || differs(req.Protocol, g.protocol):
		e = kerr.InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		e = kerr.RebalanceInProgress
	}
	if e != nil {
		m.reply(from, SyncError(e))
		return
	}
	member := g.byID[req.MemberID]
	m.sawSync(g, member)
	if g.state == Stable {
		m.reply(from, g.syncAnswer(member))
		return
	}
	m.answerSync(g, member, kerr.RebalanceInProgress) // its earlier request
	member.sync = from
	if g.leader == member.id {
		m.assign(g, req)
	}
}

// differs: a protocol that the client names must be the group's, if the group has one.
func differs(asked, group *string) bool {
	return asked != nil && group != nil && *group != "" && *asked != *group
}

// sawSync notes that a member has sent its SyncGroup.
func (m *Machine) sawSync(g *group, member *member) {
	member.awaitingSync = false
	for _, other := range g.members {
		if other.awaitingSync {
			return
		}
	}
	g.sync.at = time.Time{}
}

// assign takes the leader's assignment: members that are not in it get an empty one.
func (m *Machine) assign(g *group, req *kmsg.SyncGroupRequest) {
	assignments := make(map[string][]byte, len(req.GroupAssignment))
	for _, a := range req.GroupAssignment {
		assignments[a.MemberID] = a.MemberAssignment
	}
	for _, member := range g.members {
		member.assignment = assignments[member.id]
	}
	r := g.record()
	if coordinator.RecordSize(r) > m.settings.MaxBatchBytes() {
		m.failSyncs(g, kerr.UnknownServerError)
		m.prepareRebalance(g, "the group's record is larger than max.message.bytes")
		return
	}
	g.transition(Stable, m.nowMs())
	g.synced = true
	m.record(g.record()) // with the time of this transition
	for _, member := range g.members {
		if member.sync == 0 {
			continue
		}
		m.reply(member.sync, g.syncAnswer(member))
		member.sync = 0
		m.armSession(g, member, member.sessionTimeout)
	}
	m.event(g, "group is stable")
}

func (g *group) syncAnswer(member *member) *kmsg.SyncGroupResponse {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.Protocol, resp.MemberAssignment = g.protocol, member.assignment
	if g.protocolType != "" {
		resp.ProtocolType = &g.protocolType
	}
	if resp.MemberAssignment == nil {
		resp.MemberAssignment = []byte{}
	}
	return resp
}

// failSyncs answers everyone who waits for an assignment, and forgets the assignments.
func (m *Machine) failSyncs(g *group, e *kerr.Error) {
	for _, member := range g.members {
		member.assignment = nil
		if m.answerSync(g, member, e) {
			m.armSession(g, member, member.sessionTimeout)
		}
	}
}

// answerSync answers a member's parked SyncGroup with an error; false: there is none.
func (m *Machine) answerSync(_ *group, member *member, e *kerr.Error) bool {
	if member.sync == 0 {
		return false
	}
	m.reply(member.sync, SyncError(e))
	member.sync = 0
	return true
}

// endSync: the sync phase is over, however it ended.
func (m *Machine) endSync(g *group) {
	for _, member := range g.members {
		member.awaitingSync = false
	}
	g.sync.at = time.Time{}
}

// syncExpired removes the members that did not send SyncGroup.
func (m *Machine) syncExpired(g *group, _ string) {
	if g.state != CompletingRebalance && g.state != Stable {
		return
	}
	removed := false
	for _, member := range append([]*member(nil), g.members...) {
		if member.awaitingSync {
			g.remove(member.id)
			removed = true
		}
	}
	if removed {
		m.prepareRebalance(g, "members did not send SyncGroup in time")
	}
}

// sessionExpired removes a member that was not heard of.
func (m *Machine) sessionExpired(g *group, id string) {
	if g.pending[id] != nil {
		g.remove(id)
		m.maybeCompletePending(g)
		return
	}
	member := g.byID[id]
	if member.satisfied() {
		return
	}
	if member.join != 0 {
		m.reply(member.join, JoinError("", kerr.UnknownMemberID))
	}
	g.remove(id)
	m.event(g, "member's session timed out", "member", id)
	m.afterRemoval(g, "the session of member "+id+" timed out")
}

// maybeCompletePending: the last one that was waited for may have been a pending member. The initial
// delay does not hold it up, as in Kafka.
func (m *Machine) maybeCompletePending(g *group) {
	if g.state == PreparingRebalance && g.allJoined() {
		m.completeJoin(g)
	}
}

func (m *Machine) afterRemoval(g *group, reason string) {
	switch g.state {
	case Stable, CompletingRebalance:
		m.prepareRebalance(g, reason)
	case PreparingRebalance:
		m.maybeCompletePending(g)
	case Empty, Dead:
	}
}

// Heartbeat answers with a *kmsg.HeartbeatResponse.
func (m *Machine) Heartbeat(now time.Time, from coordinator.Token, req *kmsg.HeartbeatRequest) coordinator.Outcome {
	return m.step(now, func() {
		resp := kmsg.NewPtrHeartbeatResponse()
		resp.ErrorCode = code(m.heartbeat(req))
		m.reply(from, resp)
	})
}

func (m *Machine) heartbeat(req *kmsg.HeartbeatRequest) *kerr.Error {
	if c := m.consumers[req.Group]; c != nil {
		return m.heartbeatConsumerGroup(c, req)
	}
	g := m.groups[req.Group]
	if g == nil {
		return kerr.UnknownMemberID
	}
	if e := g.validate(req.MemberID, req.InstanceID); e != nil {
		return e
	}
	if req.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	member := g.byID[req.MemberID]
	m.armSession(g, member, member.sessionTimeout)
	if g.state == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

// LeaveGroup answers with a *kmsg.LeaveGroupResponse; the request has its members in the list, also below v3.
func (m *Machine) LeaveGroup(now time.Time, from coordinator.Token, req *kmsg.LeaveGroupRequest) coordinator.Outcome {
	return m.step(now, func() {
		resp := kmsg.NewPtrLeaveGroupResponse()
		if c := m.consumers[req.Group]; c != nil {
			m.leaveConsumerGroup(c, req, resp)
			m.reply(from, resp)
			return
		}
		g, left := m.groups[req.Group], false
		for i := range req.Members {
			asked := &req.Members[i]
			r := kmsg.NewLeaveGroupResponseMember()
			r.MemberID, r.InstanceID = asked.MemberID, asked.InstanceID
			e := kerr.UnknownMemberID
			if g != nil {
				e = m.leave(g, asked)
			}
			r.ErrorCode = code(e)
			left = left || e == nil
			resp.Members = append(resp.Members, r)
		}
		if left {
			m.afterLeaving(g)
		}
		m.reply(from, resp)
	})
}

func (m *Machine) leave(g *group, asked *kmsg.LeaveGroupRequestMember) *kerr.Error {
	id := asked.MemberID
	switch {
	case id == "" && asked.InstanceID == nil:
		return kerr.UnknownMemberID
	case id == "":
		known, ok := g.static[*asked.InstanceID]
		if !ok {
			return kerr.UnknownMemberID
		}
		id = known
	case g.pending[id] != nil:
		g.remove(id)
		return nil
	default:
		if e := g.validate(id, asked.InstanceID); e != nil {
			return e
		}
	}
	member := g.byID[id]
	if member.join != 0 {
		m.reply(member.join, JoinError("", kerr.UnknownMemberID))
	}
	m.answerSync(g, member, kerr.UnknownMemberID)
	g.remove(id)
	m.event(g, "member leaves", "member", id)
	return nil
}

func (m *Machine) afterLeaving(g *group) {
	switch g.state {
	case Stable, CompletingRebalance:
		m.prepareRebalance(g, "members left")
	case PreparingRebalance:
		m.maybeCompleteJoin(g)
	case Empty, Dead:
	}
}
