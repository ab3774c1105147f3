package main

import (
	"fmt"
	"strconv"
	"strings"
)

// message is one request, response or record: its layouts by first version.
type message struct {
	name      string
	group     string // the jar it comes from
	key       int16
	min, max  int16
	listeners string
	layouts   map[string][]versionedLayout // by kind: "request", "response", "record"
}

// versionedLayout holds from its version until the next one of its kind.
type versionedLayout struct {
	from   int16
	layout *layout
}

// layout is a struct: fields in wire order, then tagged fields when it is flexible.
type layout struct {
	fields   []field
	tags     []field
	flexible bool
}

type field struct {
	name string
	tag  int // -1: not tagged
	typ  *typ
}

// typ is a primitive by name, an array or a struct.
type typ struct {
	kind     string // a primitive's name without compact_ and nullable_, "array" or "struct"
	compact  bool
	nullable bool
	elem     *typ
	layout   *layout
}

// wire is a text that is equal for types of equal encoding.
func (t *typ) wire() string {
	s := t.kind
	if t.compact {
		s = "compact_" + s
	}
	if t.nullable {
		s += "?"
	}
	if t.elem != nil {
		s += "[" + t.elem.wire() + "]"
	}
	return s // structs are compared field by field
}

// at is the layout of a kind at a version; nil when there is none.
func (m *message) at(kind string, version int16) *layout {
	var found *layout
	for _, l := range m.layouts[kind] {
		if l.from <= version {
			found = l.layout
		}
	}
	return found
}

// parse reads a schema file; its grammar is in the file's first lines.
func parse(text string) ([]*message, error) {
	var all []*message
	var group string
	for number, line := range strings.Split(text, "\n") {
		var err error
		switch {
		case line == "" || strings.HasPrefix(line, "//"):
		case strings.HasPrefix(line, "# "):
			group = strings.TrimPrefix(line, "# ")
		case strings.HasPrefix(line, "== "):
			var m *message
			if m, err = parseTitle(line); err == nil {
				m.group = group
				all = append(all, m)
			}
		case len(all) == 0:
			err = fmt.Errorf("a layout before the first title")
		default:
			err = parseLayoutLine(all[len(all)-1], line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
	}
	return all, nil
}

// parseTitle reads "== NAME key K versions A-B listeners […]".
func parseTitle(line string) (*message, error) {
	title, listeners, _ := strings.Cut(line, " listeners ")
	words := strings.Fields(title)
	if len(words) != 6 || words[2] != "key" || words[4] != "versions" {
		return nil, fmt.Errorf("bad title %q", line)
	}
	low, high, _ := strings.Cut(words[5], "-")
	var numbers [3]int16
	for i, s := range []string{words[3], low, high} {
		n, err := strconv.ParseInt(s, 10, 16)
		if err != nil {
			return nil, err
		}
		numbers[i] = int16(n)
	}
	return &message{name: words[1], key: numbers[0], min: numbers[1], max: numbers[2],
		listeners: listeners, layouts: map[string][]versionedLayout{}}, nil
}

// parseLayoutLine reads "request v3+ FIELDS", "v2 FIELDS" or "v2 = v1".
func parseLayoutLine(m *message, line string) error {
	kind := "record"
	if k, rest, ok := strings.Cut(line, " "); ok && (k == "request" || k == "response") {
		kind, line = k, rest
	}
	version, fields, _ := strings.Cut(line, " ")
	n, err := strconv.ParseInt(strings.Trim(version, "v+"), 10, 16)
	if err != nil {
		return err
	}
	if strings.HasPrefix(fields, "= ") {
		return nil // at() takes the layout before it
	}
	p := &parser{text: fields}
	l := p.layout("")
	if p.err == nil && p.text != "" {
		p.fail("something after the layout")
	}
	m.layouts[kind] = append(m.layouts[kind], versionedLayout{int16(n), l})
	return p.err
}

// parser is a recursive-descent parser over what is left of one line.
type parser struct {
	text string
	err  error
}

func (p *parser) fail(what string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s at %.40q", what, p.text)
	}
	p.text = ""
}

// eat consumes a prefix if it is there.
func (p *parser) eat(prefix string) bool {
	rest, ok := strings.CutPrefix(p.text, prefix)
	if ok {
		p.text = rest
	}
	return ok
}

// word consumes letters, digits and underscores.
func (p *parser) word() string {
	n := strings.IndexFunc(p.text, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
	if n < 0 {
		n = len(p.text)
	}
	if n == 0 {
		p.fail("a word is missing")
	}
	w := p.text[:n]
	p.text = p.text[n:]
	return w
}

// layout parses fields up to end, which it consumes.
func (p *parser) layout(end string) *layout {
	l := &layout{}
	for p.err == nil && (end == "" && p.text != "" || end != "" && !p.eat(end)) {
		if p.eat("tags(") {
			l.flexible = true
			l.tags = p.tags()
		} else {
			name := p.word()
			p.eat(" ")
			l.fields = append(l.fields, field{name, -1, p.typ()})
		}
		p.eat(", ")
	}
	return l
}

func (p *parser) tags() []field {
	var tags []field
	for p.err == nil && !p.eat(")") {
		n, err := strconv.Atoi(p.word())
		if err != nil || !p.eat(":") {
			p.fail("a tag number is missing")
		}
		name := p.word()
		p.eat(" ")
		tags = append(tags, field{name, n, p.typ()})
		p.eat(", ")
	}
	return tags
}

func (p *parser) typ() *typ {
	t := &typ{}
	switch {
	case p.eat("["):
		t.kind, t.elem = "array", p.typ()
		if !p.eat("]") {
			p.fail("] is missing")
		}
	case p.eat("c["):
		t.kind, t.compact, t.elem = "array", true, p.typ()
		if !p.eat("]") {
			p.fail("] is missing")
		}
	case p.eat("{"):
		t.kind, t.layout = "struct", p.layout("}")
	default:
		w := p.word()
		w, t.compact = strings.CutPrefix(w, "compact_")
		t.kind, t.nullable = strings.CutPrefix(w, "nullable_")
	}
	if p.eat("?") {
		t.nullable = true
	}
	return t
}
