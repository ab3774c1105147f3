package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"minikafka/protocol"
)

// metadataRecord is a record of the metadata log as JSON, as Kafka prints it.
func (d *dumper) metadataRecord(value []byte, offset int64) string {
	text, err := d.schema.metadataJSON(value)
	if err != nil {
		d.wrong++
		return fmt.Sprintf("Error at %d, skipping. %v", offset, err)
	}
	return text
}

func (s *recordSchemas) metadataJSON(value []byte) (string, error) {
	r := recordReader{b: value}
	frame, key, version := r.uvarint(), r.uvarint(), r.uvarint()
	if r.err != nil {
		return "", r.err
	}
	if frame != 1 {
		return "", fmt.Errorf("frame version %d", frame)
	}
	schema := s.metadata[key]
	if schema == nil {
		return "", fmt.Errorf("unknown metadata id %d", key)
	}
	layout, err := schema.layout(int64(min(version, math.MaxInt16+1)))
	if err != nil {
		return "", err
	}
	data := r.object(layout)
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("found %d byte(s) of garbage after %s", len(r.b), schema.name)
	}
	return fmt.Sprintf(`{"type":"%s","version":%d,"data":%s}`, typeName(schema.name), version, data), r.err
}

// coordinatorRecord is a record of a coordinator's topic as JSON: key and value.
func (d *dumper) coordinatorRecord(r *protocol.Record, offset int64) (key, value string) {
	key, value, err := d.schema.coordinatorJSON(d.coordinator, r.Key, r.Value)
	if errors.Is(err, errUnknownType) {
		return fmt.Sprintf("%v at offset %d, skipping.", err, offset), ""
	}
	if err != nil {
		d.wrong++
		return fmt.Sprintf("Error at offset %d, skipping. %v", offset, err), ""
	}
	return key, value
}

var errUnknownType = errors.New("Unknown record type") //nolint:staticcheck // it is printed as Kafka prints it

func (s *recordSchemas) coordinatorJSON(coordinator string, key, value []byte) (keyJSON, valueJSON string, err error) {
	r := recordReader{b: key}
	number := uint16(r.fixed(2))
	keySchema, valueSchema := s.keys[coordinatorType{coordinator, number}], s.values[coordinatorType{coordinator, number}]
	if r.err == nil && (keySchema == nil || valueSchema == nil) {
		return "", "", fmt.Errorf("%w %d", errUnknownType, number)
	}
	if r.err != nil {
		return "", "", r.err
	}
	layout, err := keySchema.layout(0)
	if err != nil {
		return "", "", err
	}
	data := r.object(layout)
	if r.err != nil {
		return "", "", r.err
	}
	keyJSON = fmt.Sprintf(`{"type":"%d","data":%s}`, number, data)
	if value == nil {
		return keyJSON, "<DELETE>", nil
	}
	r = recordReader{b: value, protocols: s}
	version := int16(r.fixed(2))
	if layout, err = valueSchema.layout(int64(version)); err != nil {
		return "", "", err
	}
	data = r.object(layout)
	return keyJSON, fmt.Sprintf(`{"version":"%d","data":%s}`, version, data), r.err
}

// consumerProtocol decodes what a classic group's member said in the consumer protocol; false when it is no
// such thing.
func (s *recordSchemas) consumerProtocol(field string, b []byte) (string, bool) {
	name := map[string]string{"subscription": "ConsumerProtocolSubscription", "assignment": "ConsumerProtocolAssignment"}[field]
	schema := s.byName[name]
	if schema == nil || len(b) < 2 {
		return "", false
	}
	r := recordReader{b: b}
	layout, err := schema.layout(min(int64(r.fixed(2)), schema.most))
	if err != nil {
		return "", false
	}
	text := r.object(layout)
	return text, r.err == nil
}

// typeName is TopicRecord as TOPIC_RECORD.
func typeName(name string) string {
	var b strings.Builder
	for i, c := range name {
		if i > 0 && c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(c)
	}
	return strings.ToUpper(b.String())
}

// controls are the control records that have a layout, with the name that Kafka prints.
var controls = map[protocol.ControlType]struct{ title, schema string }{ //nolint:gochecknoglobals // a constant table
	protocol.ControlLeaderChange:   {"LeaderChange:", "LeaderChangeMessage"},
	protocol.ControlSnapshotHeader: {"SnapshotHeader", "SnapshotHeaderRecord"},
	protocol.ControlSnapshotFooter: {"SnapshotFooter", "SnapshotFooterRecord"},
	protocol.ControlKRaftVersion:   {"KRaftVersion", "KRaftVersionRecord"},
	protocol.ControlKRaftVoters:    {"KRaftVoters", "VotersRecord"},
}

func (d *dumper) printControl(r *protocol.Record) {
	kind, err := protocol.ControlTypeOf(r.Key)
	if err != nil {
		d.complain("%v\n", err)
		return
	}
	if kind == protocol.ControlAbort || kind == protocol.ControlCommit {
		name := "ABORT"
		if kind == protocol.ControlCommit {
			name = "COMMIT"
		}
		if len(r.Value) < 6 {
			d.complain("transaction marker of %d bytes\n", len(r.Value))
			return
		}
		d.printf(" endTxnMarker: %s coordinatorEpoch: %d", name, int32(binary.BigEndian.Uint32(r.Value[2:])))
		return
	}
	control, known := controls[kind]
	if !known {
		d.printf(" controlType: UNKNOWN(%d)", kind)
		return
	}
	if d.schema.byName == nil {
		if d.schema, err = loadRecordSchemas(); err != nil {
			d.complain("%v\n", err)
			return
		}
	}
	text, err := d.schema.controlJSON(control.schema, r.Value)
	if err != nil {
		d.complain("%s: %v\n", control.schema, err)
	}
	d.printf(" %s %s", control.title, text)
}

// controlJSON decodes a control record's value; its first field is its version. Of a version that is newer
// than ours the rest is left out.
func (s *recordSchemas) controlJSON(name string, value []byte) (string, error) {
	if len(value) < 2 {
		return "{}", errEndOfRecord
	}
	schema := s.byName[name]
	layout, err := schema.layout(min(int64(binary.BigEndian.Uint16(value)), schema.most))
	if err != nil {
		return "{}", err
	}
	r := recordReader{b: value}
	text := r.object(layout)
	return text, r.err
}

var errEndOfRecord = errors.New("the record ends within a field")

// recordReader decodes a record's fields to JSON. After an error all reads are zero.
type recordReader struct {
	b   []byte
	err error
	// protocols, when set, decodes the members of a group that says that it speaks the consumer protocol.
	protocols *recordSchemas
	consumer  bool
}

func (r *recordReader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.err = errEndOfRecord
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *recordReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.err != nil || n <= 0 {
		r.err = errEndOfRecord
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *recordReader) fixed(n uint64) (v uint64) {
	for _, c := range r.take(n) {
		v = v<<8 | uint64(c)
	}
	return v
}

// taggedAfter are the tagged fields that Kafka prints before the end: each after the field that it stands
// behind in Kafka's definition. The wire does not say.
var taggedAfter = map[string]string{ //nolint:gochecknoglobals // a constant table
	"previous_producer_id": "producer_id",
	"next_producer_id":     "previous_producer_id",
	"next_producer_epoch":  "producer_epoch",
}

// object decodes a struct. Kafka leaves tagged fields that have their default value out of both the wire
// and its JSON.
func (r *recordReader) object(l *recordLayout) string {
	var names, parts []string
	add := func(f *recordField, value string) {
		at := len(parts)
		if after := slices.Index(names, taggedAfter[f.name]); after >= 0 && f.tagged {
			at = after + 1
		}
		names = slices.Insert(names, at, f.name)
		parts = slices.Insert(parts, at, strconv.Quote(jsonName(f.name))+":"+value)
	}
	for i := range l.fields {
		add(&l.fields[i], r.value(&l.fields[i]))
	}
	if l.flexible {
		for n := r.uvarint(); n > 0 && r.err == nil; n-- {
			tag, size := r.uvarint(), r.uvarint()
			inner := recordReader{b: r.take(size)}
			f, known := l.tags[tag]
			if !known || r.err != nil {
				continue
			}
			add(&f, inner.value(&f))
			r.err = inner.err
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// length is that of a string, bytes or array; null is true for the null value.
func (r *recordReader) length(f *recordField, size uint64) (n uint64, null bool) {
	if f.compact {
		n = r.uvarint()
		return n - 1, n == 0
	}
	n = r.fixed(size)
	return n, n == 1<<(8*size)-1
}

func (r *recordReader) value(f *recordField) string {
	switch f.kind {
	case "boolean":
		return strconv.FormatBool(r.fixed(1) != 0)
	case "int8":
		return strconv.Itoa(int(int8(r.fixed(1))))
	case "int16":
		return strconv.Itoa(int(int16(r.fixed(2))))
	case "uint16":
		return strconv.Itoa(int(r.fixed(2)))
	case "int32":
		return strconv.Itoa(int(int32(r.fixed(4))))
	case "uint32":
		return strconv.FormatUint(r.fixed(4), 10)
	case "int64":
		return strconv.FormatInt(int64(r.fixed(8)), 10)
	case "float64":
		return javaDouble(math.Float64frombits(r.fixed(8)))
	case "uuid":
		return strconv.Quote(base64.RawURLEncoding.EncodeToString(r.take(16)))
	case "string":
		return r.text(f)
	case "bytes":
		n, null := r.length(f, 4)
		if null {
			return "null"
		}
		b := r.take(n)
		if r.protocols != nil && r.consumer {
			if text, ok := r.protocols.consumerProtocol(f.name, b); ok {
				return text
			}
		}
		return strconv.Quote(base64.StdEncoding.EncodeToString(b))
	case "array":
		return r.array(f)
	case "struct":
		return r.object(f.layout)
	}
	r.err = fmt.Errorf("field %s has the unknown type %s", f.name, f.kind)
	return "null"
}

func (r *recordReader) text(f *recordField) string {
	n, null := r.length(f, 2)
	if null {
		return "null"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	s := string(r.take(n))
	r.consumer = r.consumer || f.name == "protocol_type" && s == "consumer"
	if err := e.Encode(s); err != nil {
		r.err = err
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (r *recordReader) array(f *recordField) string {
	n, null := r.length(f, 4)
	if null {
		return "null"
	}
	var parts []string
	for ; n > 0 && r.err == nil; n-- {
		parts = append(parts, r.value(f.elem))
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// jsonName is a schema's snake_case name as Kafka's camelCase one.
func jsonName(name string) string {
	words := strings.Split(name, "_")
	if words[0] == "kraft" {
		words[0] = "kRaft"
	}
	for i, w := range words {
		if i > 0 && w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}

// javaDouble is a double as Java prints it: with a fraction, and an exponent outside 10^-3 to 10^7.
func javaDouble(v float64) string {
	abs := math.Abs(v)
	if abs != 0 && (abs < 1e-3 || abs >= 1e7) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		exponent = strings.TrimPrefix(exponent, "+")
		sign := ""
		if rest, negative := strings.CutPrefix(exponent, "-"); negative {
			sign, exponent = "-", rest
		}
		return mantissa + "E" + sign + strings.TrimLeft(exponent, "0")
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !slices.Contains([]byte(text), '.') {
		text += ".0"
	}
	return text
}
