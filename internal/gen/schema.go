package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tables writes protocol/schema_gen.go. Equal layouts are written once.
type tables struct {
	codec
	names map[string]string // by the text of a layout, the variable that holds it
	paths map[string]*place // by api and path of field names
}

// place is what is known of one struct over all versions of a request.
type place struct {
	goSizes  map[string]int // by field, for the size of kmsg's struct, which has the fields of all versions
	tags     map[int]field  // Kafka refuses a tag before its first version; kmsg reads it there
	flexible bool
}

// requestTables is protocol/schema_gen.go.
func requestTables(all []*message) (string, error) {
	t := &tables{names: map[string]string{}, paths: map[string]*place{}}
	var rows strings.Builder
	for _, m := range all {
		if m.max < m.min {
			continue // Kafka has dropped it
		}
		for _, l := range m.layouts["request"] {
			t.survey(m.name, l.layout)
		}
		row := fmt.Sprintf("%d: {name: %q, min: %d, max: %d, ", m.key, m.name, m.min, m.max)
		large := false
		var versions []string
		first := int16(0)
		for v := m.min; v <= m.max; v++ {
			l := m.at("request", v)
			if l == nil {
				return "", fmt.Errorf("%s has no layout for version %d", m.name, v)
			}
			name, err := t.layout(m.name, l)
			if err != nil {
				return "", fmt.Errorf("%s version %d: %w", m.name, v, err)
			}
			versions = append(versions, "&"+name)
			large = large || grows(l)
			if !l.flexible {
				first = v + 1
			}
		}
		fmt.Fprintf(&rows, "%sflexible: %d, large: %t, layouts: []*layout{%s}},\n", row, max(first, m.min), large, strings.Join(versions, ", "))
	}
	return generated + "\npackage protocol\n\n" +
		"// requests are the APIs that Kafka 4.4 serves on a listener of either kind, by key.\n" +
		"var requests = [...]requestLayouts{\n" + rows.String() + "}\n\n" + t.String(), nil
}

// grows says that a request can be large: it has an array or bytes.
func grows(l *layout) bool {
	return slices.ContainsFunc(slices.Concat(l.fields, l.tags), func(f field) bool {
		return f.typ.kind == "array" || f.typ.kind == "bytes" || f.typ.kind == "records" || f.typ.layout != nil && grows(f.typ.layout)
	})
}

// survey notes what a layout adds to what is known of its place.
func (t *tables) survey(path string, l *layout) {
	p := t.paths[path]
	if p == nil {
		p = &place{goSizes: map[string]int{}, tags: map[int]field{}}
		t.paths[path] = p
	}
	p.flexible = p.flexible || l.flexible
	for _, f := range slices.Concat(l.fields, l.tags) {
		s := f.typ
		if s.kind == "array" {
			s = s.elem
		}
		if s.layout != nil {
			t.survey(path+"."+f.name, s.layout)
		}
		if f.tag >= 0 {
			p.tags[f.tag] = f
		}
		p.goSizes[f.name] = max(p.goSizes[f.name], t.goSize(path+"."+f.name, f.typ))
	}
}

// goSize is the size of kmsg's Go type in bytes, each field padded to a word.
func (t *tables) goSize(path string, s *typ) int {
	switch {
	case s.kind == "array" || s.kind == "bytes" || s.kind == "records":
		return 24
	case s.kind == "string" || s.kind == "uuid":
		return 16
	case s.layout != nil && !s.nullable:
		return t.structSize(path)
	}
	return 8
}

// structSize is the size of kmsg's struct at a path, with room for fields that only older versions had.
func (t *tables) structSize(path string) int {
	n := 8 + 16 // UnknownTags, older fields
	for _, size := range t.paths[path].goSizes {
		n += size
	}
	return n
}

// allocated is what an allocator takes for a size: an eighth more, for its size classes.
func allocated(size int) int { return (size*9 + 7) / 8 }

// layout is the variable of a layout.
func (t *tables) layout(path string, l *layout) (string, error) {
	var fields []string
	for i := 0; i < len(l.fields); i++ {
		run := 0 // bytes of the fields of fixed size from here on, which are checked as one
		j := i
		for ; j < len(l.fields) && fixedSizes[l.fields[j].typ.kind] > 0; j++ {
			run += fixedSizes[l.fields[j].typ.kind]
		}
		if run > 0 {
			fields = append(fields, fmt.Sprintf("{name: %q, kind: fixed, size: %d}", l.fields[i].name, run))
			i = j - 1
			continue
		}
		text, err := t.field(path, l.fields[i])
		if err != nil {
			return "", err
		}
		fields = append(fields, text)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "layout{")
	if len(fields) > 0 {
		fmt.Fprintf(&b, "fields: []layoutField{\n%s,\n}, ", strings.Join(fields, ",\n"))
	}
	if l.flexible {
		b.WriteString("flexible: true, ")
		p := t.paths[path]
		var tags []string
		for _, n := range slices.Sorted(maps.Keys(p.tags)) {
			if !slices.ContainsFunc(l.tags, func(f field) bool { return f.tag == n }) {
				tags = append(tags, fmt.Sprintf("{name: %q, tag: %d, kind: forbidden}", p.tags[n].name, n))
				continue
			}
			text, err := t.field(path, p.tags[n])
			if err != nil {
				return "", err
			}
			tags = append(tags, text)
		}
		if len(tags) > 0 {
			fmt.Fprintf(&b, "tags: []layoutField{\n%s,\n}, ", strings.Join(tags, ",\n"))
		}
	}
	if size := fixedLayout(l); size > 0 {
		fmt.Fprintf(&b, "size: %d, ", size)
	}
	fmt.Fprintf(&b, "least: %d}", minimum(&typ{kind: "struct", layout: l}))
	return t.variable(b.String()), nil
}

// fixedLayout is the size of a struct that has no other; 0 if it varies.
func fixedLayout(l *layout) int {
	n := 0
	for _, f := range l.fields {
		size := fixedSizes[f.typ.kind]
		if size == 0 {
			return 0
		}
		n += size
	}
	if l.flexible {
		return 0
	}
	return n
}

// variable names a layout's text; equal ones share it.
func (t *tables) variable(text string) string {
	name, ok := t.names[text]
	if !ok {
		name = fmt.Sprintf("layout%d", len(t.names))
		t.names[text] = name
		t.p("var %s = %s\n", name, text)
	}
	return name
}

// field is the text of one field that is not part of a run of fixed size, or of a tagged one.
func (t *tables) field(path string, f field) (string, error) {
	path += "." + f.name
	var b strings.Builder
	fmt.Fprintf(&b, "{name: %q, ", f.name)
	if f.tag >= 0 {
		fmt.Fprintf(&b, "tag: %d, ", f.tag)
	}
	s := f.typ
	switch {
	case fixedSizes[s.kind] > 0:
		fmt.Fprintf(&b, "kind: fixed, size: %d", fixedSizes[s.kind])
	case s.kind == "string":
		b.WriteString("kind: text")
	case s.kind == "bytes" || s.kind == "records":
		b.WriteString("kind: blob")
	case s.kind == "array":
		elem, memory, err := t.element(path, s.elem)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "kind: array, elem: &%s, memory: %d", elem, memory)
	case s.layout != nil:
		elem, err := t.layout(path, s.layout)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "kind: object, elem: &%s", elem)
		if s.nullable {
			fmt.Fprintf(&b, ", memory: %d", allocated(t.structSize(path)))
		}
	default:
		return "", fmt.Errorf("%s: type %q", f.name, s.kind)
	}
	if s.compact {
		b.WriteString(", compact: true")
	}
	if s.nullable {
		b.WriteString(", nullable: true")
	}
	b.WriteString("}")
	return b.String(), nil
}

// element is the layout of an array's element and the memory that one takes.
func (t *tables) element(path string, s *typ) (name string, memory int, err error) {
	if s.layout != nil {
		if s.nullable {
			return "", 0, fmt.Errorf("%s: an array of nullable structs", path)
		}
		name, err = t.layout(path, s.layout)
		return name, allocated(t.structSize(path)), err
	}
	if s.elem != nil {
		return "", 0, fmt.Errorf("%s: an array of arrays", path)
	}
	if size := fixedSizes[s.kind]; size > 0 {
		return t.variable(fmt.Sprintf("layout{size: %d, least: %d}", size, size)), allocated(size), nil
	}
	one, err := t.field(path, field{name: "", tag: -1, typ: s})
	if err != nil {
		return "", 0, err
	}
	text := fmt.Sprintf("layout{fields: []layoutField{%s}, least: %d}", one, minimum(s))
	return t.variable(text), allocated(t.goSize(path, s)), nil
}
