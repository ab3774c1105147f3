package groupcoord

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/coordinator"
)

// manyMembers is a machine with stable groups of ten members.
func manyMembers(b *testing.B, groups int) (*sim, [][]string) {
	b.Helper()
	s := newSim()
	members := make([][]string, groups)
	for i := range groups {
		id := fmt.Sprintf("group-%d", i)
		join := func(member string) *kmsg.JoinGroupRequest {
			return &kmsg.JoinGroupRequest{Group: id, MemberID: member, ProtocolType: "consumer", SessionTimeoutMillis: 45000, RebalanceTimeoutMillis: 60000,
				Protocols: []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscribe("topic")}}}
		}
		ask := func(req *kmsg.JoinGroupRequest) coordinator.Outcome {
			s.token++
			o := s.m.JoinGroup(s.now, s.token, Client{"client", "/127.0.0.1"}, req)
			s.keep(o)
			return o
		}
		first := ask(join("")).Replies[0].Answer.(*kmsg.JoinGroupResponse).MemberID
		for range 9 {
			ask(join(""))
		}
		var leader *kmsg.JoinGroupResponse
		for _, r := range ask(join(first)).Replies {
			resp := r.Answer.(*kmsg.JoinGroupResponse)
			members[i] = append(members[i], resp.MemberID)
			if len(resp.Members) > 0 {
				leader = resp
			}
		}
		req := &kmsg.SyncGroupRequest{Group: id, MemberID: leader.MemberID, Generation: leader.Generation}
		for _, m := range members[i] {
			req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: m, MemberAssignment: []byte("assignment")})
		}
		s.token++
		s.keep(s.m.SyncGroup(s.now, s.token, req))
	}
	return s, members
}

func BenchmarkHeartbeatOf10000Members(b *testing.B) {
	s, members := manyMembers(b, 1000)
	req := &kmsg.HeartbeatRequest{Generation: 2}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		group := i % 1000
		req.Group, req.MemberID = fmt.Sprintf("group-%d", group), members[group][i/1000%10]
		o := s.m.Heartbeat(s.now, 1, req)
		if o.Replies[0].Answer.(*kmsg.HeartbeatResponse).ErrorCode != 0 {
			b.Fatal("heartbeat failed")
		}
		i++
	}
}

func commitOfFour(group string) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	t := kmsg.OffsetCommitRequestTopic{Topic: "topic", TopicID: [16]byte{1}}
	for p := range int32(4) {
		t.Partitions = append(t.Partitions, kmsg.OffsetCommitRequestTopicPartition{Partition: p, Offset: 5, LeaderEpoch: 1})
	}
	req.Topics = append(req.Topics, t)
	return req
}

func BenchmarkCommitOfFourPartitions(b *testing.B) {
	s := newSim()
	req := commitOfFour("group")
	b.ReportAllocs()
	for b.Loop() {
		o := s.m.OffsetCommit(s.now, 1, req)
		for _, r := range o.Records {
			if err := s.m.Replay(0, -1, r); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkReplayOfOffset(b *testing.B) {
	s := newSim()
	o := s.m.OffsetCommit(s.now, 1, commitOfFour("group"))
	s.m = NewMachine(s.set)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.m.Replay(0, -1, o.Records[0]); err != nil {
			b.Fatal(err)
		}
	}
}
