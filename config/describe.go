package config

import (
	"slices"
	"strings"
	"time"
)

// Source says which level a value comes from; the numbers are DescribeConfigs'.
type Source int8

// Sources, as DescribeConfigs numbers them.
const (
	TopicSource                Source = 1
	DynamicBrokerSource        Source = 2
	DynamicDefaultBrokerSource Source = 3
	StaticBrokerSource         Source = 4
	DefaultSource              Source = 5
	BrokerLoggerSource         Source = 6
	ClientMetricsSource        Source = 7
	GroupSource                Source = 8
)

// Synonym is one place that a value can come from. Value is nil for a secret.
type Synonym struct {
	Name   string
	Value  *string
	Source Source
}

// Entry is one configuration as DescribeConfigs shows it. Value is nil for null and for a secret.
type Entry struct {
	Name                string
	Value               *string
	Source              Source
	Type                Type // 0: not a name of Kafka's
	ReadOnly, Sensitive bool
	Synonyms            []Synonym // the strongest first
	Doc                 *string   // nil: not a name of Kafka's
}

// DescribeTopic lists every topic config of a topic with these overrides, sorted by name. v is the
// node's values, not a topic's view.
func (v *Values) DescribeTopic(overrides map[string]string) []Entry {
	entries := make([]Entry, 0, len(Rows(TopicScope)))
	for _, r := range Rows(TopicScope) {
		e := r.entry()
		if len(r.synonyms) > 0 {
			e.Synonyms = v.synonyms(r.synonyms[0].Name)
		}
		text, set := overrides[r.Name]
		if set {
			text = r.Canonical(text)
			e.Synonyms = append([]Synonym{{r.Name, &text, TopicSource}}, e.Synonyms...)
		} else {
			text, _ = v.topicDefault(r)
		}
		e.Value = &text
		e.Source = firstSource(e.Synonyms)
		entries = append(entries, e)
	}
	for name := range overrides {
		if Lookup(TopicScope, name) == nil { // of another release
			entries = append(entries, Entry{Name: name, Source: TopicSource, Sensitive: true,
				Synonyms: []Synonym{{name, nil, TopicSource}}})
		}
	}
	return sorted(entries)
}

// CreatedTopic lists the same in CreateTopics' way: what was given stays as it was written, and the
// source is where the value comes from, be it hours that stand in for milliseconds.
func (v *Values) CreatedTopic(overrides map[string]string) []Entry {
	entries := v.DescribeTopic(overrides)
	for i, e := range entries {
		text, given := overrides[e.Name]
		switch {
		case !given:
			_, entries[i].Source = v.topicDefault(Lookup(TopicScope, e.Name))
		case !e.Sensitive:
			entries[i].Value = &text
		}
	}
	return entries
}

// DescribeBroker lists every broker config of this node, and what was set beside them.
func (v *Values) DescribeBroker() []Entry {
	names := map[string]bool{}
	for _, r := range Rows(BrokerScope) {
		names[r.Name] = true
	}
	for _, level := range v.brokerLevels() {
		for name := range level {
			names[name] = true
		}
	}
	entries := make([]Entry, 0, len(names))
	for name := range names {
		entries = append(entries, v.brokerEntry(name))
	}
	return sorted(entries)
}

// DescribeDefaultBroker lists what is set as the default of all brokers.
func (v *Values) DescribeDefaultBroker() []Entry {
	entries := make([]Entry, 0, len(v.cluster))
	for name, text := range v.cluster {
		e := v.brokerEntry(name)
		e.Synonyms = slices.DeleteFunc(e.Synonyms, func(s Synonym) bool { return s.Source != DynamicDefaultBrokerSource })
		e.Source = firstSource(e.Synonyms)
		if !e.Sensitive {
			e.Value = &text
		}
		entries = append(entries, e)
	}
	return sorted(entries)
}

func (v *Values) brokerEntry(name string) Entry {
	r := Lookup(BrokerScope, baseName(name))
	if r == nil {
		e := Entry{Name: name, ReadOnly: true, Sensitive: true, Synonyms: v.synonyms(name)}
		e.Source = firstSource(e.Synonyms)
		return e
	}
	e := r.entry()
	e.Name = name
	e.ReadOnly = r.Mode == ReadOnly || name != r.Name // as Kafka: names with a listener prefix show as read-only
	e.Synonyms = v.synonyms(name)
	e.Source = firstSource(e.Synonyms)
	named := *r
	named.Name = name
	if text, ok := v.raw(&named); ok && !e.Sensitive {
		text = r.Canonical(text)
		e.Value = &text
	}
	return e
}

// DescribeGroup lists every group config of a group with these overrides.
func (v *Values) DescribeGroup(overrides map[string]string) []Entry {
	return v.describeOwn(GroupScope, GroupSource, overrides)
}

// DescribeClientMetrics lists a metrics subscription with these settings.
func (v *Values) DescribeClientMetrics(overrides map[string]string) []Entry {
	return v.describeOwn(ClientMetricsScope, ClientMetricsSource, overrides)
}

func (v *Values) describeOwn(s Scope, source Source, overrides map[string]string) []Entry {
	entries := make([]Entry, 0, len(Rows(s)))
	for _, r := range Rows(s) {
		e := r.entry()
		text, _ := r.Default()
		switch {
		case len(r.synonyms) > 0:
			e.Synonyms = v.synonyms(r.synonyms[0].Name)
			text, _ = v.raw(r.synonyms[0])
		case s == GroupScope:
			e.Synonyms = []Synonym{{r.Name, &text, DefaultSource}}
		}
		if given, ok := overrides[r.Name]; ok {
			text = given
			e.Synonyms = append([]Synonym{{r.Name, &text, source}}, e.Synonyms...)
			if len(r.synonyms) == 0 {
				e.Synonyms = e.Synonyms[:1]
			}
		}
		text = r.Canonical(text)
		e.Value = &text
		e.Source = firstSource(e.Synonyms)
		entries = append(entries, e)
	}
	return sorted(entries)
}

func (r *Row) entry() Entry {
	return Entry{Name: r.Name, Type: r.Type, Sensitive: r.Sensitive(), Doc: &r.Doc}
}

func firstSource(s []Synonym) Source {
	if len(s) == 0 {
		return DefaultSource
	}
	return s[0].Source
}

func sorted(entries []Entry) []Entry {
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries
}

// timeFamilies are the rows that lend each other values: a family is asked as a whole.
var timeFamilies = [][]string{
	{"log.roll.ms", "log.roll.hours"},
	{"log.roll.jitter.ms", "log.roll.jitter.hours"},
	{"log.flush.interval.ms", "log.flush.scheduler.interval.ms"},
	{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
}

// synonyms lists, level by level, every name that has a value; what stands before the first value of
// the name itself is left out (so hours alone do not show as milliseconds).
func (v *Values) synonyms(name string) (list []Synonym) {
	names := []string{name}
	for _, family := range timeFamilies {
		if family[0] == name || slices.Contains(family, name) && name != "log.flush.scheduler.interval.ms" {
			names = family
		}
	}
	if base := baseName(name); base != name {
		names = append(names, base)
	}
	levels := v.brokerLevels()
	for i, source := range brokerSources {
		for _, n := range names {
			if text, ok := levels[i][n]; ok {
				list = append(list, synonym(n, text, source))
			}
		}
	}
	for _, n := range names {
		if r := Lookup(BrokerScope, n); r != nil {
			if text, ok := r.Default(); ok {
				list = append(list, synonym(n, text, DefaultSource))
			}
		}
	}
	first := slices.IndexFunc(list, func(s Synonym) bool { return s.Name == name })
	if first < 0 {
		return nil
	}
	return list[first:]
}

func synonym(name, text string, source Source) Synonym {
	if r := Lookup(BrokerScope, baseName(name)); r == nil || r.Sensitive() {
		return Synonym{name, nil, source}
	}
	return Synonym{name, &text, source}
}

// brokerSources are the sources of Values.brokerLevels, in the same order.
var brokerSources = [3]Source{DynamicBrokerSource, DynamicDefaultBrokerSource, StaticBrokerSource}

// topicDefault is the text that a topic config has where the topic does not override it, and its level.
func (v *Values) topicDefault(t *Row) (string, Source) {
	for i, level := range v.brokerLevels() {
		for _, r := range t.synonyms {
			text, ok := level[r.Name]
			if !ok {
				continue
			}
			if parsed, err := r.Parse(text); err == nil {
				return t.converted(r, parsed), brokerSources[i]
			}
		}
	}
	text, _ := t.Default()
	return text, DefaultSource
}

// converted is the parsed value of a synonym, in the unit of the row.
func (r *Row) converted(synonym *Row, parsed any) string {
	n, ok := parsed.(int64)
	if !ok || r.unit == 0 {
		return render(parsed)
	}
	if n < 0 && r == RetentionMs.row.topic {
		return "-1" // Kafka's "no limit", however it was written
	}
	return render(n * int64(synonym.unit/time.Millisecond))
}
