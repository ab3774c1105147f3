package handlers

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerId v0-v5. Without a transactional id the broker gives a new producer id with epoch 0,
// whatever id and epoch the client had (KIP-360: an idempotent producer that lost its sequence starts
// anew). Transactional ids belong to a coordinator, which does not exist yet: as in a Kafka whose
// coordinator is elsewhere, the answer is NOT_COORDINATOR.

// producerIDTimeout bounds how long a block of ids is waited for; then clients try again.
const producerIDTimeout = 10 * time.Second

func (h *Handlers) initProducerID(
	ctx context.Context, _ *Request, req *kmsg.InitProducerIDRequest,
) (kmsg.Response, Later) {
	resp := &kmsg.InitProducerIDResponse{Version: req.Version, ProducerID: -1, ProducerEpoch: -1}
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "":
		resp.ErrorCode = kerr.InvalidRequest.Code
	case (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		resp.ErrorCode = kerr.InvalidRequest.Code // one without the other
	case req.TransactionalID != nil:
		resp.ErrorCode = kerr.NotCoordinator.Code
	default:
		h.newProducerID(ctx, resp)
	}
	return resp, nil
}

func (h *Handlers) newProducerID(ctx context.Context, resp *kmsg.InitProducerIDResponse) {
	ctx, cancel := context.WithTimeout(ctx, producerIDTimeout)
	defer cancel()
	id, err := h.ProducerIDs.Next(ctx)
	if err != nil {
		h.Logger.Warn("no producer id to give", "error", err)
		resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code // clients try again, as in Kafka
		return
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
}
