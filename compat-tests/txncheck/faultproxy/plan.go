package faultproxy

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Action is what is done to a request.
type Action int8

// The actions.
const (
	Pass      Action = iota
	Delay            // held for a while, and delivered then even when the client has gone
	Abandon          // the client's side is cut at once, the request delivered later on the broker's
	Replay           // delivered, and later once more on a connection of its own
	CutBefore        // not delivered, cut
	CutAfter         // delivered, cut before the answer
)

func (a Action) String() string {
	return [...]string{"pass", "delay", "abandon", "replay", "cut before", "cut after"}[a]
}

// Verdict is an action and, where it has one, its delay.
type Verdict struct {
	Action Action
	After  time.Duration
}

// Rule is how often what is done to requests of a key and a range of versions: shares of one.
type Rule struct {
	Key                                         kmsg.Key
	Min, Max                                    int16 // versions; Max 0: all from Min on
	Delay, Abandon, Replay, CutBefore, CutAfter float64
}

// Plan draws verdicts from rules. It is safe for concurrent use.
type Plan struct {
	mu    sync.Mutex
	rng   *rand.Rand
	rules []Rule
	// longest is the most that a request is held.
	longest time.Duration
	on      bool
}

// shortest is the least that a request is held, when it is.
const shortest = 3 * time.Millisecond

// NewPlan seeds a plan. It lets everything pass until it is switched on.
func NewPlan(seed uint64, longest time.Duration, rules ...Rule) *Plan {
	return &Plan{rng: rand.New(rand.NewPCG(seed, 0xfa017)), rules: rules, longest: longest}
}

// Switch puts the plan into force, or lets everything pass.
func (p *Plan) Switch(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = on
}

func (p *Plan) decide(key, version int16) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.rules {
		if !p.on || r.Key.Int16() != key || version < r.Min || r.Max > 0 && version > r.Max {
			continue
		}
		dice := p.rng.Float64()
		for _, one := range []struct {
			action Action
			share  float64
		}{{Delay, r.Delay}, {Abandon, r.Abandon}, {Replay, r.Replay}, {CutBefore, r.CutBefore}, {CutAfter, r.CutAfter}} {
			if dice < one.share {
				return Verdict{one.action, p.while()}
			}
			dice -= one.share
		}
	}
	return Verdict{}
}

// while is a time to hold a request: as often between 10 and 100 ms as between 100 ms and a second.
func (p *Plan) while() time.Duration {
	span := math.Log(float64(p.longest) / float64(shortest))
	return time.Duration(float64(shortest) * math.Exp(p.rng.Float64()*span))
}
