package main

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// The layouts of Kafka's records, each version: the same text that the record codecs are generated from
// (internal/gen; a test compares the two). Here it is read as it is, so that records of any version are
// printed with all their fields, and nothing of the codecs can hide an error of theirs.
//
//go:generate cp ../../internal/gen/record-schemas-4.4.0.txt .
//go:embed record-schemas-4.4.0.txt
var recordSchemaText string

// recordSchema is one record: its layout from each version on.
type recordSchema struct {
	name     string
	versions []recordVersion
	most     int64 // the largest version
}

type recordVersion struct {
	from   int64
	layout *recordLayout
}

// recordLayout is a struct: fields in wire order, and with flexible set tagged fields after them.
type recordLayout struct {
	fields   []recordField
	tags     map[uint64]recordField
	flexible bool
}

// recordField has a primitive kind, or "array" with elem, or "struct" with layout.
type recordField struct {
	name              string
	kind              string
	compact, nullable bool
	tagged            bool
	elem              *recordField
	layout            *recordLayout
}

// recordSchemas are the records of the metadata log by key, and all by name.
type recordSchemas struct {
	metadata map[uint64]*recordSchema
	byName   map[string]*recordSchema
	// keys and values are those of the coordinators' topics, by coordinator and type.
	keys, values map[coordinatorType]*recordSchema
}

// coordinatorType is a record type of a coordinator: the jar that its layouts come from, and the number.
type coordinatorType struct {
	coordinator string
	number      uint16
}

func (s *recordSchema) layout(version int64) (*recordLayout, error) {
	if version < 0 || version > s.most {
		return nil, fmt.Errorf("version %d of %s is unknown", version, s.name)
	}
	for i := len(s.versions) - 1; i >= 0; i-- {
		if s.versions[i].from <= version {
			return s.versions[i].layout, nil
		}
	}
	return nil, fmt.Errorf("version %d of %s is unknown", version, s.name)
}

func loadRecordSchemas() (recordSchemas, error) {
	all := recordSchemas{
		metadata: map[uint64]*recordSchema{}, byName: map[string]*recordSchema{},
		keys: map[coordinatorType]*recordSchema{}, values: map[coordinatorType]*recordSchema{},
	}
	var current *recordSchema
	group := ""
	for line := range strings.Lines(recordSchemaText) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "//"):
		case strings.HasPrefix(line, "# "):
			group = line
		case strings.HasPrefix(line, "== "):
			var key int64
			var least int64
			current = &recordSchema{}
			if _, err := fmt.Sscanf(line, "== %s key %d versions %d-%d", &current.name, &key, &least, &current.most); err != nil {
				return all, fmt.Errorf("record schema %q: %w", line, err)
			}
			all.add(group, key, current)
		default:
			if err := current.parse(line); err != nil {
				return all, fmt.Errorf("record schema %q: %w", line, err)
			}
		}
	}
	return all, nil
}

// add files a record of a jar, "# kafka-<module>-4.4.0.jar", under its names.
func (s *recordSchemas) add(jar string, key int64, r *recordSchema) {
	s.byName[r.name] = r
	module, _ := strings.CutPrefix(jar, "# kafka-")
	module = module[:max(strings.LastIndexByte(module, '-'), 0)]
	as := coordinatorType{module, uint16(key)}
	switch {
	case module == "metadata":
		s.metadata[uint64(key)] = r
	case strings.HasSuffix(r.name, "Key"):
		s.keys[as] = r
	case strings.HasSuffix(r.name, "Value"):
		s.values[as] = r
	}
}

// parse reads the line of one version: "v2 FIELDS", or "v1 = v0".
func (s *recordSchema) parse(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	from, err := strconv.ParseInt(strings.TrimPrefix(version, "v"), 10, 16)
	if err != nil {
		return err
	}
	var layout *recordLayout
	if same, ok := strings.CutPrefix(rest, "= v"); ok {
		as, err := strconv.ParseInt(same, 10, 16)
		if err != nil {
			return err
		}
		if layout, err = s.layout(as); err != nil {
			return err
		}
	} else {
		p := schemaParser{text: rest}
		layout = p.layout()
		if p.err == nil && p.text != "" {
			p.err = fmt.Errorf("%q is left", p.text)
		}
		if p.err != nil {
			return p.err
		}
	}
	s.versions = append(s.versions, recordVersion{from, layout})
	return nil
}

// schemaParser reads a layout from the front of text.
type schemaParser struct {
	text string
	err  error
}

func (p *schemaParser) take(token string) bool {
	rest, ok := strings.CutPrefix(p.text, token)
	if ok {
		p.text = rest
	}
	return ok
}

func (p *schemaParser) word() string {
	n := strings.IndexFunc(p.text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
	if n < 0 {
		n = len(p.text)
	}
	if n == 0 && p.err == nil {
		p.err = fmt.Errorf("a word is missing")
	}
	word := p.text[:n]
	p.text = p.text[n:]
	return word
}

// layout reads fields up to the end or a closing brace.
func (p *schemaParser) layout() *recordLayout {
	l := &recordLayout{}
	for p.err == nil && p.text != "" && p.text[0] != '}' {
		if p.take("tags(") {
			l.flexible, l.tags = true, map[uint64]recordField{}
			for p.err == nil && !p.take(")") {
				tag, err := strconv.ParseUint(p.word(), 10, 32)
				if err != nil && p.err == nil {
					p.err = err
				}
				p.take(":")
				f := p.field()
				f.tagged = true
				l.tags[tag] = f
				p.take(", ")
			}
		} else {
			l.fields = append(l.fields, p.field())
		}
		p.take(", ")
	}
	return l
}

func (p *schemaParser) field() recordField {
	name := p.word()
	p.take(" ")
	f := p.typ()
	f.name = name
	return f
}

func (p *schemaParser) typ() (f recordField) {
	switch {
	case strings.HasPrefix(p.text, "c["), strings.HasPrefix(p.text, "["):
		f.kind, f.compact = "array", p.take("c")
		p.take("[")
		elem := p.typ()
		f.elem = &elem
		if !p.take("]") && p.err == nil {
			p.err = fmt.Errorf("] is missing")
		}
	case p.take("{"):
		f.kind, f.layout = "struct", p.layout()
		if !p.take("}") && p.err == nil {
			p.err = fmt.Errorf("} is missing")
		}
	default:
		f.kind = p.word()
		f.kind, f.compact = cut(f.kind, "compact_")
		f.kind, f.nullable = cut(f.kind, "nullable_")
	}
	f.nullable = p.take("?") || f.nullable
	return f
}

func cut(s, prefix string) (string, bool) { return strings.CutPrefix(s, prefix) }
