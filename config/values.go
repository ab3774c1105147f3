package config

import "maps"

// Values is an immutable snapshot of configuration: the node's (static file and environment, dynamic
// broker configs), or a topic's view of it.
type Values struct {
	// Raw text by name, a map per level; nil where nothing is set. Only static holds unknown names.
	topic, broker, cluster, static map[string]string
	effective                      []any // by slot, as the key's Go type
}

// New makes the node's values from its static properties alone. Nothing is validated (see Load):
// text that does not parse counts as not set.
func New(static map[string]string) *Values {
	v := &Values{static: maps.Clone(static)}
	v.resolve()
	return v
}

// Get is the effective value: topic override, then dynamic broker, dynamic default, static, default.
// A null reads as the zero value.
func Get[T any](v *Values, k Key[T]) T {
	t, _ := v.effective[k.row.slot].(T) // the slot always holds a T: Row.typed and Row.zero
	return t
}

// Topic is the view of a topic with these overrides (the image's ConfigRecords).
func (v *Values) Topic(overrides map[string]string) *Values {
	if len(overrides) == 0 {
		return v
	}
	t := *v
	t.topic = maps.Clone(overrides)
	t.effective = append([]any(nil), v.effective...)
	for name, raw := range overrides {
		r := Lookup(TopicScope, name)
		if r == nil || r.slot < 0 {
			continue
		}
		if parsed, err := r.Parse(raw); err == nil {
			t.effective[r.slot] = r.typed(parsed)
		}
	}
	return &t
}

// WithDynamic is v with the dynamic broker configs replaced: of this broker, and the cluster-wide default.
func (v *Values) WithDynamic(broker, cluster map[string]string) *Values {
	n := &Values{static: v.static, broker: maps.Clone(broker), cluster: maps.Clone(cluster)}
	n.resolve()
	return n
}

// Static is the raw static text of a broker config, known or not; false when it is not set.
func (v *Values) Static(name string) (string, bool) {
	s, ok := v.static[name]
	return s, ok
}

// IsSet says whether a broker config has a value at any level above the default.
func (v *Values) IsSet(name string) bool {
	for _, level := range v.brokerLevels() {
		if _, ok := level[name]; ok {
			return true
		}
	}
	return false
}

// brokerLevels are the levels of a broker config, the strongest first.
func (v *Values) brokerLevels() [3]map[string]string {
	return [3]map[string]string{v.broker, v.cluster, v.static}
}

func (v *Values) resolve() {
	v.effective = make([]any, len(declared))
	for i, r := range declared {
		v.effective[i] = v.lookup(r)
	}
}

// lookup finds a broker row's effective value: level by level, and in each level the row before the
// rows that stand in for it.
func (v *Values) lookup(r *Row) any {
	chain := append([]*Row{r}, r.later...)
	if r.Scope == BrokerScope {
		for _, level := range v.brokerLevels() {
			for _, c := range chain {
				raw, ok := level[c.Name]
				if !ok {
					continue
				}
				if parsed, err := c.Parse(raw); err == nil {
					return r.from(c, parsed)
				}
			}
		}
	}
	for _, c := range chain {
		if text, ok := c.Default(); ok {
			if parsed, err := c.Parse(text); err == nil {
				return r.from(c, parsed)
			}
		}
	}
	return r.zero()
}

// from is the parsed value of row c, which stands in for r, as r's Go type. Negative hours are "no
// limit" like negative milliseconds: their size does not matter.
func (r *Row) from(c *Row, parsed any) any {
	if n, ok := parsed.(int64); ok && c.unit != 0 {
		return toDuration(n, c.unit)
	}
	return r.typed(parsed)
}
