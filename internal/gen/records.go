package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// merged is a struct over all versions of a record: the Go type.
type merged struct {
	name     string
	fields   []*mergedField
	flexible versionSet
}

// mergedField is one field over all versions.
type mergedField struct {
	name    string // Kafka's, snake case
	tag     int
	typ     *typ // of the last version that has it
	sub     *merged
	wires   map[int16]string // encoding by version
	types   map[int16]*typ
	present versionSet
}

// versionSet are the versions that have something.
type versionSet map[int16]bool

// condition is the Go expression of "v is in the set", "" when that is always so.
func (s versionSet) condition(of versionSet) string {
	if len(s) == len(of) {
		return ""
	}
	low, high := s.bounds()
	all, last := of.bounds()
	switch {
	case low == high:
		return fmt.Sprintf("v == %d", low)
	case high == last:
		return fmt.Sprintf("v >= %d", low)
	case low == all:
		return fmt.Sprintf("v <= %d", high)
	}
	return fmt.Sprintf("v >= %d && v <= %d", low, high)
}

func (s versionSet) bounds() (low, high int16) {
	versions := make([]int16, 0, len(s))
	for v := range s {
		versions = append(versions, v)
	}
	slices.Sort(versions)
	return versions[0], versions[len(versions)-1]
}

// nonZeroDefaults are tagged fields whose absence is not Go's zero value: they become pointers, nil when absent.
//
//nolint:gochecknoglobals // a table
var nonZeroDefaults = map[string]string{
	"PartitionChangeRecord.leader":                "-2",
	"PartitionChangeRecord.leader_recovery_state": "-1",
}

// structNames are the Go names of nested structs, after Kafka's.
//
//nolint:gochecknoglobals // a table
var structNames = map[string]string{
	"RegisterBrokerRecord.end_points":                                         "BrokerEndpoint",
	"RegisterBrokerRecord.features":                                           "BrokerFeature",
	"RegisterControllerRecord.end_points":                                     "ControllerEndpoint",
	"RegisterControllerRecord.features":                                       "ControllerFeature",
	"ClientQuotaRecord.entity":                                                "QuotaEntity",
	"LeaderChangeMessage.voters":                                              "LeaderChangeVoter",
	"LeaderChangeMessage.granting_voters":                                     "LeaderChangeVoter",
	"VotersRecord.voters":                                                     "KRaftVoter",
	"ConsumerGroupMemberMetadataValue.classic_member_metadata":                "classicMemberValue",
	"classicMemberValue.supported_protocols":                                  "classicProtocolValue",
	"ConsumerGroupTargetAssignmentMemberValue.topic_partitions":               "targetPartitions",
	"ConsumerGroupCurrentMemberAssignmentValue.assigned_partitions":           "currentPartitions",
	"ConsumerGroupCurrentMemberAssignmentValue.partitions_pending_revocation": "currentPartitions",
	"KRaftVoter.endpoints":                                                    "KRaftVoterEndpoint",
	"KRaftVoter.kraft_version_feature":                                        "KRaftVersionRange",
}

// mergeMessage is the Go type of a record.
func mergeMessage(m *message) (*merged, versionSet, error) {
	byVersion := map[int16]*layout{}
	all := versionSet{}
	for v := m.min; v <= m.max; v++ {
		byVersion[v], all[v] = m.at("record", v), true
	}
	s, err := mergeLayouts(m.name, byVersion)
	return s, all, err
}

// mergeLayouts unites the layouts of all versions; their fields keep the wire order.
func mergeLayouts(name string, byVersion map[int16]*layout) (*merged, error) {
	s := &merged{name: name, flexible: versionSet{}}
	versions := make([]int16, 0, len(byVersion))
	for v := range byVersion {
		versions = append(versions, v)
	}
	slices.Sort(versions)
	for _, v := range versions {
		l := byVersion[v]
		if l.flexible {
			s.flexible[v] = true
		}
		at := 0
		for _, f := range slices.Concat(l.fields, l.tags) {
			i := slices.IndexFunc(s.fields, func(m *mergedField) bool { return m.name == f.name })
			if i < 0 {
				i = at
				s.fields = slices.Insert(s.fields, i, &mergedField{name: f.name, tag: f.tag,
					wires: map[int16]string{}, types: map[int16]*typ{}, present: versionSet{}})
			}
			m := s.fields[i]
			if f.tag < 0 && i < at || m.tag != f.tag {
				return nil, fmt.Errorf("%s.%s v%d: another order or tag than before", name, f.name, v)
			}
			m.typ, m.types[v], m.wires[v], m.present[v] = f.typ, f.typ, f.typ.wire(), true
			at = i + 1
		}
	}
	for _, f := range s.fields {
		if err := f.mergeStruct(name); err != nil {
			return nil, err
		}
	}
	sort.SliceStable(s.fields, func(a, b int) bool { return s.fields[a].tag < s.fields[b].tag })
	return s, nil
}

// mergeStruct unites the layouts of a field that is a struct or an array of structs.
func (f *mergedField) mergeStruct(owner string) error {
	byVersion := map[int16]*layout{}
	for v, t := range f.types {
		if t.kind == "array" {
			t = t.elem
		}
		if t.layout != nil {
			byVersion[v] = t.layout
		}
	}
	if len(byVersion) == 0 {
		return nil
	}
	name, ok := structNames[owner+"."+f.name]
	if !ok {
		return fmt.Errorf("no Go name for the struct %s.%s", owner, f.name)
	}
	var err error
	f.sub, err = mergeLayouts(name, byVersion)
	return err
}

// acronyms are words that Go spells otherwise.
//
//nolint:gochecknoglobals // a table
var acronyms = map[string]string{"id": "ID", "ids": "IDs", "isr": "ISR", "elr": "ELR", "zk": "Zk", "kraft": "KRaft"}

// goName is Kafka's name in Go's spelling. A field named key would hide the method Key.
func goName(name string) string {
	if name == "key" {
		return "QuotaKey"
	}
	var b strings.Builder
	for _, w := range strings.Split(name, "_") {
		if a, ok := acronyms[w]; ok {
			b.WriteString(a)
		} else {
			b.WriteString(strings.ToUpper(w[:1]) + w[1:])
		}
	}
	return b.String()
}

// goPrimitives are the Go types of primitives.
//
//nolint:gochecknoglobals // a table
var goPrimitives = map[string]string{"boolean": "bool", "int8": "int8", "int16": "int16", "uint16": "uint16",
	"int32": "int32", "uint32": "uint32", "int64": "int64", "float64": "float64", "uuid": "UUID", "string": "string", "bytes": "[]byte"}

func (f *mergedField) nullable() bool {
	for _, t := range f.types {
		if t.nullable {
			return true
		}
	}
	return false
}

// goType is the field's type and a remark for its comment.
func (f *mergedField) goType(owner string) (typ, remark string) {
	switch {
	case f.typ.kind == "array" && f.sub != nil:
		typ = "[]" + f.sub.name
	case f.typ.kind == "array":
		typ = "[]" + goPrimitives[f.typ.elem.kind]
	case f.sub != nil:
		typ = f.sub.name
	default:
		typ = goPrimitives[f.typ.kind]
	}
	if d, ok := nonZeroDefaults[owner+"."+f.name]; ok {
		return "*" + typ, "nil: absent, which means " + d
	}
	if f.nullable() {
		if f.typ.kind == "string" || f.sub != nil && f.typ.kind == "struct" {
			typ = "*" + typ
		}
		remark = "nil is null"
	}
	return typ, remark
}

// versionRemark says since or until when a field is there.
func (f *mergedField) versionRemark(all versionSet) string {
	if len(f.present) == len(all) {
		return ""
	}
	low, high := f.present.bounds()
	if _, last := all.bounds(); high == last {
		return fmt.Sprintf("v%d+", low)
	}
	return fmt.Sprintf("v%d-v%d", low, high)
}
