package handlers

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/txncoord"
)

// InitProducerId v0-v5. Without a transactional id the broker gives a new producer id with epoch 0,
// whatever id and epoch the client had (KIP-360: an idempotent producer that lost its sequence starts
// anew). With one, the transaction coordinator decides.

// producerIDTimeout bounds how long a block of ids is waited for; then clients try again.
const producerIDTimeout = 10 * time.Second

func (h *Handlers) initProducerID(
	ctx context.Context, _ *Request, req *kmsg.InitProducerIDRequest,
) (kmsg.Response, Later) {
	version := req.Version
	resp := &kmsg.InitProducerIDResponse{Version: req.Version, ProducerID: -1, ProducerEpoch: -1}
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "":
		resp.ErrorCode = kerr.InvalidRequest.Code
	case (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		resp.ErrorCode = kerr.InvalidRequest.Code // one without the other
	case req.TransactionalID != nil:
		if e := h.Transactions.CheckInit(req.TransactionTimeoutMillis); e != nil {
			resp.ErrorCode = e.Code
			return resp, nil
		}
		init := txncoord.Init{
			TransactionalID: *req.TransactionalID, TimeoutMs: req.TransactionTimeoutMillis,
			ProducerID: req.ProducerID, Epoch: req.ProducerEpoch,
		}
		return nil, func(ctx context.Context) kmsg.Response {
			identity := h.Transactions.InitProducerID(ctx, init)
			resp.ErrorCode = errorCode(fencedAs(identity.Code, version, 4))
			resp.ProducerID, resp.ProducerEpoch = identity.ProducerID, identity.Epoch
			return resp
		}
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
