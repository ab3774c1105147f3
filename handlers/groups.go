package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"minikafka/groupcoord"
)

// What the group APIs share.

// allGroupOperations are READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, as bits.
const allGroupOperations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// groupAnswer is a call's answer, at once if it is there in a moment: nothing else of the connection is
// handled meanwhile, whoever waits. refuse makes the answer where there is none.
func groupAnswer[R kmsg.Response](call *groupcoord.Call, refuse func(*kerr.Error) R) (kmsg.Response, Later) {
	finish := func(ctx context.Context) kmsg.Response {
		resp, e := groupcoord.Wait[R](ctx, call)
		if e != nil {
			return refuse(e)
		}
		return resp
	}
	if _, _, ready := call.Soon(); ready {
		return finish(context.Background()), nil
	}
	return nil, finish
}
