package handlers

import (
	"context"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/metadata"
)

// ApiVersions v0-v5. The connection answers versions that are not served; see broker/conn.go.

// softwareName is what a client's name and version must look like.
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func (h *Handlers) apiVersions(_ context.Context, r *Request, req *kmsg.ApiVersionsRequest) (kmsg.Response, Later) {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if resp.ErrorCode = h.checkClient(req); resp.ErrorCode != 0 {
		return resp, nil
	}
	if r.Software != nil && req.Version >= 3 {
		*r.Software = Software{req.ClientSoftwareName, req.ClientSoftwareVersion}
	}
	resp.ApiKeys = make([]kmsg.ApiVersionsResponseApiKey, 0, len(h.APIs))
	for _, a := range h.APIs {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = a.Key, a.AdvertisedMin, a.Max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	if req.Version >= 3 {
		addFeatures(resp, h.Image())
	}
	return resp, nil
}

// checkClient is the code for a client that names itself wrongly, or means another broker than this.
func (h *Handlers) checkClient(req *kmsg.ApiVersionsRequest) int16 {
	wellNamed := softwareName.MatchString(req.ClientSoftwareName) && softwareName.MatchString(req.ClientSoftwareVersion)
	if req.Version >= 3 && !wellNamed {
		return kerr.InvalidRequest.Code
	}
	if req.Version < 5 {
		return 0
	}
	switch hasCluster, hasNode := req.ClusterID != nil, req.NodeID != -1; {
	case hasCluster != hasNode:
		return kerr.InvalidRequest.Code
	case hasCluster && (*req.ClusterID != h.ClusterID || req.NodeID != h.NodeID):
		return kerr.RebootstrapRequired.Code
	}
	return 0
}

// addFeatures leaves supported features that begin at 0 out below version 4: older clients cannot read
// them (KAFKA-17492).
func addFeatures(resp *kmsg.ApiVersionsResponse, image *metadata.Image) {
	for _, f := range metadata.SupportedFeatures() {
		if resp.Version < 4 && f.Min == 0 {
			continue
		}
		s := kmsg.NewApiVersionsResponseSupportedFeature()
		s.Name, s.MinVersion, s.MaxVersion = f.Name, f.Min, f.Max
		resp.SupportedFeatures = append(resp.SupportedFeatures, s)
	}
	resp.FinalizedFeaturesEpoch = image.Offset
	add := func(name string, level int16) {
		if level == 0 {
			return
		}
		f := kmsg.NewApiVersionsResponseFinalizedFeature()
		f.Name, f.MinVersionLevel, f.MaxVersionLevel = name, level, level
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
	}
	for name, level := range image.Features() {
		add(name, level)
	}
	add(metadata.KRaftVersion, image.KRaftVersion)
}
