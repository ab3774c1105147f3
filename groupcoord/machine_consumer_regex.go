package groupcoord

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// regexMinInterval is the least time between two looks through all topics for a group's patterns.
const regexMinInterval = time.Second

// checkRegex refuses a pattern that cannot be read. Kafka resolves patterns beside the heartbeat, and the
// member gets its topics with a later one; here the first answer has them.
func (m *Machine) checkRegex(g *consumerGroup, known *consumerMember, b *beat) *refusal {
	if b.regex == nil || *b.regex == "" || known != nil && known.pattern() == *b.regex || g.byRegex[*b.regex] > 0 {
		return nil
	}
	names, err := m.settings.Consumer.Resolve(*b.regex, b.view)
	if err != nil {
		return refuse(kerr.InvalidRegularExpression,
			"SubscribedTopicRegex `%s` is not a valid regular expression: %s.", *b.regex, err)
	}
	b.resolved = names
	return nil
}

// resolveRegexes keeps the topics of the group's patterns; true: they, or the member's pattern, have changed.
// The member has been put already.
func (m *Machine) resolveRegexes(g *consumerGroup, old, next *consumerMember, b *beat) (changed bool) {
	was, is := old.pattern(), next.pattern()
	if was != is {
		changed = true
		if _, resolved := g.regexes[was]; resolved && g.byRegex[was] == 0 {
			m.dropRegex(g, was)
		}
		if _, resolved := g.regexes[is]; is != "" && !resolved {
			m.saveRegex(g, is, resolvedRegex{b.resolved, b.view.Version(), m.nowMs()})
			if len(g.regexes) == 1 {
				g.regexVersion, g.regexAt = b.view.Version(), m.nowMs()
			}
		}
	}
	if len(g.byRegex) == 0 {
		return changed
	}
	age := m.now.Sub(time.UnixMilli(g.regexAt))
	if g.regexVersion == b.view.Version() && age < m.settings.Consumer.RegexRefresh || age < regexMinInterval {
		return changed
	}
	g.regexVersion, g.regexAt = b.view.Version(), m.nowMs()
	for _, pattern := range slices.Sorted(maps.Keys(g.byRegex)) {
		names, err := m.settings.Consumer.Resolve(pattern, b.view)
		if err != nil {
			continue // of a Kafka whose patterns are read otherwise: its topics stay
		}
		if have, resolved := g.regexes[pattern]; !resolved || !slices.Equal(have.topics, names) {
			m.saveRegex(g, pattern, resolvedRegex{names, b.view.Version(), m.nowMs()})
			changed = true
		}
	}
	return changed
}
