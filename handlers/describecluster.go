package handlers

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeCluster v0-v2, of a broker's listener: endpoint type 1 is brokers, 2 controllers.

func (h *Handlers) describeCluster(_ context.Context, r *Request, req *kmsg.DescribeClusterRequest) (kmsg.Response, Later) {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.Brokers, resp.ClusterAuthorizedOperations, resp.ControllerID = []kmsg.DescribeClusterResponseBroker{}, noOperations, -1
	if req.Version >= 1 && req.EndpointType != 1 {
		text := fmt.Sprintf("Unsupported endpoint type %d", req.EndpointType)
		resp.ErrorCode = kerr.UnsupportedEndpointType.Code
		if req.EndpointType == 2 {
			text = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
			resp.ErrorCode = kerr.MismatchedEndpointType.Code
		}
		resp.ErrorMessage = &text
		return resp, nil
	}
	v := h.view(r.Listener)
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = allClusterOperations
	}
	resp.ClusterID, resp.ControllerID = h.ClusterID, v.controller()
	for b := range v.image.Brokers() {
		e, here := b.Endpoint(r.Listener)
		if !here || (b.Fenced && !req.IncludeFencedBrokers) {
			continue
		}
		m := kmsg.NewDescribeClusterResponseBroker()
		m.NodeID, m.Host, m.Port, m.Rack, m.IsFenced = b.ID, e.Host, int32(e.Port), b.Rack, b.Fenced
		resp.Brokers = append(resp.Brokers, m)
	}
	slices.SortFunc(resp.Brokers, func(a, b kmsg.DescribeClusterResponseBroker) int { return cmp.Compare(a.NodeID, b.NodeID) })
	return resp, nil
}
