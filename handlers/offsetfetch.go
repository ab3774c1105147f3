package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
	"minikafka/metadata"
)

// Versions of OffsetFetch from which something is different.
const (
	fetchHasGroupCode = 2 // below, an error is each partition's
	fetchByGroups     = 8
)

// groupFetch is one group's part of the request.
type groupFetch struct {
	asked   kmsg.OffsetFetchRequestGroup
	refused []kmsg.OffsetFetchResponseGroupTopic // topics that do not exist, v10
	call    *groupcoord.Call
}

// OffsetFetch v1-v10: one group below v8, then several; topics by id from v10. Topics that are not known
// by name are not refused: they have no offsets.
func (h *Handlers) offsetFetch(_ context.Context, _ *Request, req *kmsg.OffsetFetchRequest) (kmsg.Response, Later) {
	groups := req.Groups
	if req.Version < fetchByGroups {
		groups = []kmsg.OffsetFetchRequestGroup{oldFetch(req)}
	}
	fetches := make([]groupFetch, 0, len(groups))
	for _, g := range groups {
		fetches = append(fetches, h.fetchGroup(req, g))
	}
	version, image := req.Version, h.Image
	return nil, func(ctx context.Context) kmsg.Response {
		resp := kmsg.NewPtrOffsetFetchResponse()
		resp.Topics = []kmsg.OffsetFetchResponseTopic{}
		for i := range fetches {
			resp.Groups = append(resp.Groups, fetches[i].answer(ctx, version, image()))
		}
		if version < fetchByGroups {
			makeOldFetch(resp, version)
		}
		return resp
	}
}

// oldFetch is the one group of old versions in the form of v8.
func oldFetch(req *kmsg.OffsetFetchRequest) kmsg.OffsetFetchRequestGroup {
	g := kmsg.OffsetFetchRequestGroup{Group: req.Group, MemberEpoch: -1}
	if req.Topics == nil {
		return g
	}
	g.Topics = make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(req.Topics))
	for _, t := range req.Topics {
		g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions})
	}
	return g
}

func (h *Handlers) fetchGroup(req *kmsg.OffsetFetchRequest, g kmsg.OffsetFetchRequestGroup) groupFetch {
	f := groupFetch{asked: g}
	wanted := groupcoord.Fetch{Group: g.Group, MemberID: g.MemberID, MemberEpoch: g.MemberEpoch, RequireStable: req.RequireStable, All: g.Topics == nil}
	image := h.Image()
	for _, asked := range g.Topics {
		t := groupcoord.FetchTopic{Topic: asked.Topic, TopicID: asked.TopicID, Partitions: asked.Partitions}
		if req.Version >= commitByID {
			known := image.TopicByID(asked.TopicID)
			if known == nil {
				f.refused = append(f.refused, refusedFetch(asked, kerr.UnknownTopicID))
				continue
			}
			t.Topic = known.Name
		} else if known := image.TopicByName(asked.Topic); known != nil {
			t.TopicID = known.ID
		}
		wanted.Topics = append(wanted.Topics, t)
	}
	f.call = h.Groups.OffsetFetch(wanted)
	return f
}

func refusedFetch(asked kmsg.OffsetFetchRequestGroupTopic, e *kerr.Error) kmsg.OffsetFetchResponseGroupTopic {
	none := ""
	t := kmsg.OffsetFetchResponseGroupTopic{Topic: asked.Topic, TopicID: asked.TopicID}
	for _, p := range asked.Partitions {
		t.Partitions = append(t.Partitions, kmsg.OffsetFetchResponseGroupTopicPartition{
			Partition: p, Offset: -1, LeaderEpoch: -1, Metadata: &none, ErrorCode: e.Code,
		})
	}
	return t
}

func (f *groupFetch) answer(ctx context.Context, version int16, image *metadata.Image) kmsg.OffsetFetchResponseGroup {
	resp, e := groupcoord.Wait[*kmsg.OffsetFetchResponseGroup](ctx, f.call)
	if e == nil && resp.ErrorCode != 0 {
		return *resp
	}
	if e != nil {
		r := kmsg.OffsetFetchResponseGroup{Group: f.asked.Group, ErrorCode: e.Code, Topics: []kmsg.OffsetFetchResponseGroupTopic{}}
		if version < fetchHasGroupCode {
			for _, t := range f.asked.Topics {
				r.Topics = append(r.Topics, refusedFetch(t, e))
			}
		}
		return r
	}
	if f.asked.Topics == nil && version >= commitByID {
		resp.Topics = withIDs(resp.Topics, image)
	}
	resp.Topics = append(resp.Topics, f.refused...)
	return *resp
}

// withIDs adds the ids of all of a group's topics; those that are no more have none and are left out.
func withIDs(topics []kmsg.OffsetFetchResponseGroupTopic, image *metadata.Image) []kmsg.OffsetFetchResponseGroupTopic {
	known := topics[:0]
	for _, t := range topics {
		if topic := image.TopicByName(t.Topic); topic != nil {
			t.TopicID = topic.ID
			known = append(known, t)
		}
	}
	return known
}

// makeOldFetch moves the one group's answer to where old versions have it.
func makeOldFetch(resp *kmsg.OffsetFetchResponse, version int16) {
	g := resp.Groups[0]
	resp.Groups = nil
	if version >= fetchHasGroupCode {
		resp.ErrorCode = g.ErrorCode
	}
	for _, t := range g.Topics {
		old := kmsg.OffsetFetchResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			old.Partitions = append(old.Partitions, kmsg.OffsetFetchResponseTopicPartition(p))
		}
		resp.Topics = append(resp.Topics, old)
	}
}
