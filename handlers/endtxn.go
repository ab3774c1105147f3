package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/txncoord"
)

// endTxnV2 is the version of EndTxn that ends the epoch with the transaction.
const endTxnV2 = 5

// EndTxn v0-v5. The answer comes when the decision is committed; the markers follow.
func (h *Handlers) endTxn(_ context.Context, _ *Request, req *kmsg.EndTxnRequest) (kmsg.Response, Later) {
	version := req.Version
	end := txncoord.End{
		TransactionalID: req.TransactionalID, ProducerID: req.ProducerID, Epoch: req.ProducerEpoch,
		Commit: req.Commit, VersionTwo: version >= endTxnV2,
	}
	return nil, func(ctx context.Context) kmsg.Response {
		next := h.Transactions.EndTxn(ctx, end)
		resp := kmsg.NewPtrEndTxnResponse()
		resp.ErrorCode = errorCode(fencedAs(next.Code, version, 2))
		if version >= endTxnV2 {
			resp.ProducerID, resp.ProducerEpoch = next.ProducerID, next.Epoch
		}
		return resp
	}
}
