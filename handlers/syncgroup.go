package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
)

// syncNamesProtocol is the version from which SyncGroup has to name the group's protocol.
const syncNamesProtocol = 5

// SyncGroup v0-v5.
func (h *Handlers) syncGroup(_ context.Context, _ *Request, req *kmsg.SyncGroupRequest) (kmsg.Response, Later) {
	switch {
	case req.Version >= syncNamesProtocol && (req.ProtocolType == nil || req.Protocol == nil):
		return groupcoord.SyncError(kerr.InconsistentGroupProtocol), nil
	case req.Group == "":
		return groupcoord.SyncError(kerr.InvalidGroupID), nil
	}
	return groupAnswer(h.Groups.SyncGroup(req), groupcoord.SyncError)
}
