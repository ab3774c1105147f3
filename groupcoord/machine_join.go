package groupcoord

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// Versions of JoinGroup from which something is different.
const (
	joinNeedsMemberID   = 4 // a new dynamic member is told its id first
	joinSkipsAssignment = 9 // a replaced static leader is told that it leads, and not to assign
)

// join is a JoinGroup request on its way through the machine.
type join struct {
	from      coordinator.Token
	client    Client
	req       *kmsg.JoinGroupRequest
	protocols []supportedProtocol
}

// JoinGroup parks the request until the join phase ends, or answers it. The answer is a
// *kmsg.JoinGroupResponse. The request's bytes are kept.
func (m *Machine) JoinGroup(now time.Time, from coordinator.Token, c Client, req *kmsg.JoinGroupRequest) coordinator.Outcome {
	return m.step(now, func() { m.joinGroup(join{from, c, req, protocolsOf(req)}) })
}

// CheckJoin is what is wrong with a request whatever the group.
func (s *Settings) CheckJoin(req *kmsg.JoinGroupRequest) *kerr.Error {
	session := millis(req.SessionTimeoutMillis)
	switch {
	case req.Group == "":
		return kerr.InvalidGroupID
	case session < s.MinSessionTimeout || session > s.MaxSessionTimeout:
		return kerr.InvalidSessionTimeout
	}
	return nil
}

// JoinError is an answer that carries an error.
func JoinError(memberID string, e *kerr.Error) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.MemberID, resp.Generation = code(e), memberID, -1
	return resp
}

func protocolsOf(req *kmsg.JoinGroupRequest) []supportedProtocol {
	list := make([]supportedProtocol, 0, len(req.Protocols))
	for _, p := range req.Protocols {
		if !slices.ContainsFunc(list, func(have supportedProtocol) bool { return have.name == p.Name }) {
			list = append(list, supportedProtocol{p.Name, p.Metadata})
		}
	}
	return list
}

func (m *Machine) joinGroup(j join) {
	id := j.req.MemberID
	g := m.groups[j.req.Group]
	if c := m.consumers[j.req.Group]; c != nil && len(c.members) > 0 {
		m.joinConsumerGroup(c, j)
		return
	} else if c != nil && id == "" {
		m.dropConsumerGroup(c)
	}
	isNew, records := g == nil, len(m.out.Records)
	if isNew {
		if id != "" {
			m.reply(j.from, JoinError(id, kerr.UnknownMemberID))
			return
		}
		g = newGroup(j.req.Group, m.nowMs())
		m.groups[g.id] = g
	}
	switch {
	case !m.hasRoom(g, id):
		g.remove(id)
		m.reply(j.from, JoinError("", kerr.GroupMaxSizeReached))
		m.maybeCompleteJoin(g)
	case !g.supports(j.req.ProtocolType, j.protocols):
		m.reply(j.from, JoinError(id, kerr.InconsistentGroupProtocol))
	case id == "":
		m.joinNew(g, j)
	default:
		m.joinKnown(g, j)
	}
	if isNew && len(m.out.Records) == records {
		m.record(newGroupRecord(g))
	}
}

func (m *Machine) hasRoom(g *group, id string) bool {
	known := g.byID[id]
	switch g.state {
	case PreparingRebalance:
		return known != nil && known.join != 0 || g.joined < m.settings.MaxSize
	case CompletingRebalance, Stable:
		return known != nil || len(g.members) < m.settings.MaxSize
	case Empty, Dead:
	}
	return true
}

// joinNew: the request has no member id.
func (m *Machine) joinNew(g *group, j join) {
	if instance := j.req.InstanceID; instance != nil {
		id := *instance + "-" + m.settings.NewMemberID()
		if old, known := g.static[*instance]; known {
			m.replaceStatic(g, j, old, id)
			return
		}
		m.addMember(g, j, id)
		return
	}
	id := j.client.ID + "-" + m.settings.NewMemberID()
	if j.req.Version < joinNeedsMemberID {
		m.addMember(g, j, id)
		return
	}
	p := &pendingMember{}
	g.pending[id] = p
	m.timers.set(&p.session, m.now.Add(millis(j.req.SessionTimeoutMillis)), sessionTimer, g.id, id)
	m.reply(j.from, JoinError(id, kerr.MemberIDRequired))
}

// joinKnown: the request has a member id.
func (m *Machine) joinKnown(g *group, j join) {
	id := j.req.MemberID
	if g.pending[id] != nil && j.req.InstanceID == nil {
		m.addMember(g, j, id)
		return
	}
	if e := g.validate(id, j.req.InstanceID); e != nil {
		m.reply(j.from, JoinError(id, e))
		return
	}
	member := g.byID[id]
	switch {
	case g.state == PreparingRebalance:
		m.rejoin(g, member, j, "a member rejoins")
	case g.state == CompletingRebalance && member.matches(j.protocols):
		m.reply(j.from, g.joinAnswer(member, g.leader == id))
	case g.state == CompletingRebalance:
		m.rejoin(g, member, j, "a member's metadata changed")
	case g.state == Stable && g.leader == id:
		m.rejoin(g, member, j, "the leader rejoins")
	case g.state == Stable && !member.matches(j.protocols):
		m.rejoin(g, member, j, "a member's metadata changed")
	case g.state == Stable:
		m.reply(j.from, g.joinAnswer(member, false))
	default:
		m.reply(j.from, JoinError(id, kerr.UnknownMemberID))
	}
}

// validate fences a member: first its instance id, then its id.
func (g *group) validate(id string, instance *string) *kerr.Error {
	if instance != nil {
		known, ok := g.static[*instance]
		switch {
		case !ok:
			return kerr.UnknownMemberID
		case known != id:
			return kerr.FencedInstanceID
		}
	}
	if g.byID[id] == nil {
		return kerr.UnknownMemberID
	}
	return nil
}

// joinAnswer is the present generation; only the leader gets the members.
func (g *group) joinAnswer(member *member, withMembers bool) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.MemberID, resp.Generation, resp.LeaderID = member.id, g.generation, g.leader
	resp.Protocol = g.protocol
	if g.protocolType != "" {
		resp.ProtocolType = &g.protocolType
	}
	if !withMembers {
		return resp
	}
	for _, other := range g.members {
		r := kmsg.NewJoinGroupResponseMember()
		r.MemberID, r.InstanceID, r.ProtocolMetadata = other.id, other.instance, other.metadata(*g.protocol)
		resp.Members = append(resp.Members, r)
	}
	return resp
}

// addMember takes a new member in and parks its request.
func (m *Machine) addMember(g *group, j join, id string) {
	member := &member{
		id: id, instance: j.req.InstanceID, clientID: j.client.ID, clientHost: j.client.Host,
		rebalanceTimeout: j.rebalanceTimeout(), sessionTimeout: millis(j.req.SessionTimeoutMillis),
		protocols: j.protocols, isNew: true, join: j.from,
	}
	if g.state == PreparingRebalance && g.previous == Empty {
		g.newMemberAdded = true
	}
	if len(g.members) == 0 {
		g.protocolType = j.req.ProtocolType
	}
	if p := g.pending[id]; p != nil {
		member.session = p.session
	}
	g.add(member)
	m.armSession(g, member, newMemberJoinTimeout)
	m.rebalanceOrComplete(g, "member "+id+" joins")
}

func (j join) rebalanceTimeout() time.Duration {
	if j.req.Version < 1 {
		return millis(j.req.SessionTimeoutMillis)
	}
	return millis(j.req.RebalanceTimeoutMillis)
}

// rejoin parks the request of a member that is there already.
func (m *Machine) rejoin(g *group, member *member, j join, reason string) {
	m.update(g, member, j)
	m.rebalanceOrComplete(g, reason)
}

func (m *Machine) update(g *group, member *member, j join) {
	g.count(member, -1)
	member.protocols = j.protocols
	g.count(member, 1)
	member.rebalanceTimeout, member.sessionTimeout = j.rebalanceTimeout(), millis(j.req.SessionTimeoutMillis)
	if member.join != 0 {
		m.reply(member.join, JoinError(member.id, kerr.RebalanceInProgress))
	}
	g.park(member, j.from)
}

// replaceStatic gives a static member's place to a new id: whoever holds the old one is fenced.
func (m *Machine) replaceStatic(g *group, j join, oldID, id string) {
	oldLeader := g.leader
	member := g.byID[oldID]
	if member.join != 0 {
		m.reply(member.join, JoinError(oldID, kerr.FencedInstanceID))
		g.park(member, 0)
	}
	m.answerSync(g, member, kerr.FencedInstanceID)
	delete(g.byID, oldID)
	member.id, member.isNew = id, false
	// The deadline's entry in the heap has the old id: it finds nobody.
	member.session = deadline{}
	g.byID[id], g.static[*member.instance] = member, id
	if g.leader == oldID {
		g.leader = id
	}
	m.armSession(g, member, member.sessionTimeout)
	m.update(g, member, j)
	switch g.state {
	case Stable:
		if g.protocol == nil || *g.protocol != g.selectProtocol() {
			m.rebalanceOrComplete(g, "static member "+id+" changes the protocol")
			return
		}
		m.recordReplacement(g, member, j, oldLeader)
	case CompletingRebalance:
		m.prepareRebalance(g, "static member "+id+" replaces "+oldID)
	case PreparingRebalance:
		m.maybeCompleteJoin(g)
	case Empty, Dead: // which have no members
	}
}

// recordReplacement: nothing changes for the others.
func (m *Machine) recordReplacement(g *group, member *member, j join, oldLeader string) {
	r := g.record()
	if coordinator.RecordSize(r) > m.settings.MaxBatchBytes() {
		m.reply(j.from, JoinError("", kerr.UnknownServerError))
		g.park(member, 0)
		return
	}
	m.record(r)
	leads := g.leader == member.id
	resp := g.joinAnswer(member, leads && j.req.Version >= joinSkipsAssignment)
	if j.req.Version >= joinSkipsAssignment {
		resp.SkipAssignment = leads
	} else {
		resp.LeaderID = oldLeader // so that the client does not think that it leads
	}
	m.reply(j.from, resp)
	g.park(member, 0)
	m.event(g, "static member replaced", "member", member.id)
}
