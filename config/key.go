package config

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Type is Kafka's type of a configuration; the numbers are DescribeConfigs' ConfigType.
type Type int8

// Types, as DescribeConfigs v3+ numbers them.
const (
	Boolean       Type = 1
	String        Type = 2
	Int           Type = 3
	Short         Type = 4
	Long          Type = 5
	Double        Type = 6
	List          Type = 7
	Class         Type = 8
	PasswordText  Type = 9
	typeUndefined Type = 0
)

var typeNames = [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}

// String is Kafka's name of the type.
func (t Type) String() string { return typeNames[t] }

// Scope is the kind of resource that a row belongs to.
type Scope int8

// Scopes.
const (
	BrokerScope Scope = iota
	TopicScope
	GroupScope
	ClientMetricsScope
)

// Mode says how a broker config can change while the broker runs.
type Mode int8

// Update modes.
const (
	ReadOnly    Mode = iota // the static file only
	PerBroker               // on one broker
	ClusterWide             // on one broker, or as the default of all
)

var modeNames = [...]string{"read-only", "per-broker", "cluster-wide"}

// String is Kafka's name of the mode.
func (m Mode) String() string { return modeNames[m] }

// Defaults that are no text.
const (
	null     = "\x00null"
	required = "\x00required"
)

// Password is a secret: it prints as Kafka's placeholder.
type Password string

// String hides the secret.
func (Password) String() string { return "[hidden]" }

// Row is one configuration. Rows never change after the package is initialised.
type Row struct {
	Name  string
	Scope Scope
	Type  Type
	Mode  Mode
	Valid Validator // nil: everything that parses
	Doc   string
	// Effect is false for names of Kafka's that change nothing here (yet): setting one is warned about.
	Effect bool

	def  string        // in properties syntax, or null, or required
	unit time.Duration // of one count; 0: the value is no duration
	slot int           // index in Values.effective; -1: no typed key
	// topic is the topic config whose default this broker row is.
	topic *Row
	// synonyms of a topic or group row are the broker rows that give its default, the first one dynamic.
	synonyms []*Row
	// later are the rows that are asked when this one has no value (log.retention.minutes after .ms).
	later []*Row
}

// Default is the default as text; false when it is null or there is none.
func (r *Row) Default() (string, bool) { return r.def, r.def != null && r.def != required }

// Required says that there is no default.
func (r *Row) Required() bool { return r.def == required }

// Synonyms of a topic or group row are the broker rows that give its default, in order.
func (r *Row) Synonyms() []*Row { return r.synonyms }

// Sensitive values are never shown.
func (r *Row) Sensitive() bool { return r.Type == PasswordText }

// Key is a row with its Go type: the effective value is Get(values, key).
type Key[T any] struct{ row *Row }

// Row is the key's row.
func (k Key[T]) Row() *Row { return k.row }

// Name is the broker config's name (the topic config's where there is no broker config).
func (k Key[T]) Name() string { return k.row.Name }

// declared are the rows that have a typed key, in order of declaration: the index is the slot.
var declared []*Row

type option func(*Row)

func declare(r *Row, opts []option) *Row {
	r.slot, r.Effect = len(declared), true
	for _, o := range opts {
		o(r)
	}
	if r.topic != nil {
		r.topic.synonyms = append([]*Row{r}, r.later...)
		r.topic.slot, r.topic.unit, r.topic.Effect = r.slot, r.unit, r.Effect
		if r.topic.Doc == "" {
			r.topic.Doc = r.Doc
		}
	}
	declared = append(declared, r)
	return r
}

func boolean(name string, def bool, doc string, opts ...option) Key[bool] {
	return Key[bool]{declare(&Row{Name: name, Type: Boolean, def: strconv.FormatBool(def), Doc: doc}, opts)}
}

func number(name string, def int32, doc string, opts ...option) Key[int32] {
	return Key[int32]{declare(&Row{Name: name, Type: Int, def: strconv.Itoa(int(def)), Doc: doc}, opts)}
}

// size is a number of bytes.
func size(name string, def int32, doc string, opts ...option) Key[int32] {
	return number(name, def, doc, opts...)
}

func long(name string, def int64, doc string, opts ...option) Key[int64] {
	return Key[int64]{declare(&Row{Name: name, Type: Long, def: strconv.FormatInt(def, 10), Doc: doc}, opts)}
}

// millis is a LONG in milliseconds; with the option in(…) an INT or another unit.
func millis(name string, def int64, doc string, opts ...option) Key[time.Duration] {
	return Key[time.Duration]{declare(&Row{
		Name: name, Type: Long, def: strconv.FormatInt(def, 10), unit: time.Millisecond, Doc: doc,
	}, opts)}
}

func double(name string, def float64, doc string, opts ...option) Key[float64] {
	return Key[float64]{declare(&Row{Name: name, Type: Double, def: javaDouble(def), Doc: doc}, opts)}
}

func text(name string, def string, doc string, opts ...option) Key[string] {
	return Key[string]{declare(&Row{Name: name, Type: String, def: def, Doc: doc}, opts)}
}

// list has its default in properties syntax: "a,b", "" for the empty list, or null.
func list(name string, def string, doc string, opts ...option) Key[[]string] {
	return Key[[]string]{declare(&Row{Name: name, Type: List, def: def, Doc: doc, Valid: ListOf{}}, opts)}
}

// Options of a row.

func clusterWide(r *Row) { r.Mode = ClusterWide }
func perBroker(r *Row)   { r.Mode = PerBroker }
func noDefault(r *Row)   { r.def = null }
func mustBeSet(r *Row)   { r.def = required }

// noEffect marks a name that is described and validated, and read by nobody.
func noEffect(r *Row) { r.Effect = false }

// topicOnly: the row is a topic config without a broker config.
func topicOnly(r *Row) { r.Scope = TopicScope }

func asInt(r *Row) { r.Type = Int }

func in(unit time.Duration) option { return func(r *Row) { r.unit = unit } }

func valid(v Validator) option { return func(r *Row) { r.Valid = v } }

func atLeast(n float64) option       { return valid(Range{Min: n, Max: math.Inf(1)}) }
func between(lo, hi float64) option  { return valid(Range{Min: lo, Max: hi}) }
func oneOf(values ...string) option  { return valid(OneOf{Values: values}) }
func listOf(values ...string) option { return valid(ListOf{Values: values}) }

// filled: the list has at least one element.
func filled(r *Row) { r.Valid = ListOf{NonEmpty: true} }

// topic makes the topic config that this row is the default of; options change what differs.
func topic(name string, opts ...option) option {
	return func(r *Row) {
		t := &Row{Name: name, Scope: TopicScope, Type: r.Type, Valid: r.Valid, def: r.def}
		for _, o := range opts {
			o(t)
		}
		r.topic = t
	}
}

// defaultText overrides a topic config's default where the broker row's own is null.
func defaultText(s string) option { return func(r *Row) { r.def = s } }

// then names the rows that are asked when this one has no value, in order.
func then(rows ...*Row) option { return func(r *Row) { r.later = rows } }

// index holds every row by name, per scope. It is built at the first look-up: then all declarations have run.
var index = sync.OnceValue(func() *[4]map[string]*Row {
	var byName [4]map[string]*Row
	for i := range byName {
		byName[i] = map[string]*Row{}
	}
	for i := range known {
		r := &known[i]
		r.slot = -1
		byName[r.Scope][r.Name] = r
	}
	for _, r := range declared {
		byName[r.Scope][r.Name] = r
		if r.topic != nil {
			byName[TopicScope][r.topic.Name] = r.topic
		}
	}
	for _, r := range byName[GroupScope] {
		if b := byName[BrokerScope]["group."+r.Name]; b != nil {
			r.synonyms = []*Row{b}
		}
	}
	byName[GroupScope]["streams.assignor.name"].synonyms = []*Row{byName[BrokerScope]["group.streams.assignors"]}
	return &byName
})

// Lookup finds a row of Kafka's by name; nil when Kafka has none.
func Lookup(s Scope, name string) *Row { return index()[s][name] }

// Rows are all rows of a scope, sorted by name.
func Rows(s Scope) []*Row {
	rows := make([]*Row, 0, len(index()[s]))
	for _, r := range index()[s] {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *Row) int { return strings.Compare(a.Name, b.Name) })
	return rows
}
