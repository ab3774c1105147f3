package txncoord

import "minikafka/internal/invariant"

// State is a transaction's, by Kafka's ids and names.
type State int8

// States. Dead and PrepareEpochFence are never stored.
const (
	Empty State = iota
	Ongoing
	PrepareCommit
	PrepareAbort
	CompleteCommit
	CompleteAbort
	Dead
	PrepareEpochFence
	stateCount
)

var stateNames = [stateCount]string{ //nolint:gochecknoglobals // a table
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

func (s State) String() string { return stateNames[s] }

// validFrom are the states that one may come from. Those of an abort without a partition exist only in
// version 2.
var validFrom = [stateCount][]State{ //nolint:gochecknoglobals // a table
	Empty:             {Empty, CompleteCommit, CompleteAbort},
	Ongoing:           {Ongoing, Empty, CompleteCommit, CompleteAbort},
	PrepareCommit:     {Ongoing},
	PrepareAbort:      {Ongoing, PrepareEpochFence, Empty, CompleteCommit, CompleteAbort},
	CompleteCommit:    {PrepareCommit},
	CompleteAbort:     {PrepareAbort},
	Dead:              {Empty, CompleteCommit, CompleteAbort},
	PrepareEpochFence: {Ongoing},
}

// to is the next state; anything but a valid one is a bug.
func (s State) to(next State) State {
	valid := false
	for _, from := range validFrom[next] {
		valid = valid || from == s
	}
	invariant.Check(valid, "transaction state %v after %v", next, s)
	return next
}

// preparing: decided, and the markers are under way.
func (s State) preparing() bool { return s == PrepareCommit || s == PrepareAbort }

// idle: no transaction.
func (s State) idle() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }
