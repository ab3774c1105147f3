package wirediff

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Everything from 2025 on is the broker's clock: the corpus sends older timestamps.
const clockFrom = 1_735_689_600_000

// clockRange is the part of an error message that holds the broker's clock.
var clockRange = regexp.MustCompile(`within \[-?\d{13,}, -?\d{13,}\]`)

func maskTime(ms int64) string {
	if ms >= clockFrom {
		return "<now>"
	}
	return strconv.FormatInt(ms, 10)
}

func maskID(id int64) string {
	if id < 0 {
		return strconv.FormatInt(id, 10)
	}
	return "<pid>"
}

// volatile configs differ between any two brokers.
var volatileConfigs = map[string]bool{
	"log.dirs": true, "log.dir": true, "listeners": true, "advertised.listeners": true, "metadata.log.dir": true,
	"controller.quorum.bootstrap.servers": true, "controller.quorum.voters": true, "listener.security.protocol.map": true,
	"controller.listener.names": true,
}

// tree turns a response into maps, lists and strings. Fields that hold their default are left out; volatile
// fields are masked; lists are in the order of their names, because Kafka's is that of a hash map.
type tree struct {
	ids     map[[16]byte]string // names of the topic ids that the script has met
	port    int32               // of the broker
	own     string              // prefix of the script's topics: others are left out
	members map[string]int      // numbers of the member ids that the script has met
	served  map[int16]bool      // the APIs that are compared in an ApiVersions answer
}

func (t *tree) of(resp kmsg.Response) map[string]any {
	return t.object(reflect.ValueOf(resp).Elem())
}

func (t *tree) object(v reflect.Value) map[string]any {
	fresh := reflect.New(v.Type())
	if d, ok := fresh.Interface().(interface{ Default() }); ok {
		d.Default()
	}
	out := map[string]any{}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		f := v.Field(i)
		if name == "Version" {
			continue
		}
		if name == "UnknownTags" {
			if tags := f.Interface().(kmsg.Tags); tags.Len() > 0 {
				out["UnknownTags"] = tags.Len()
			}
			continue
		}
		if reflect.DeepEqual(f.Interface(), fresh.Elem().Field(i).Interface()) {
			continue
		}
		out[name] = t.value(name, f)
	}
	if name, _ := out["Name"].(string); volatileConfigs[name] && out["Value"] != nil {
		out["Value"] = "<of this broker>"
	}
	if name, _ := out["Name"].(string); volatileConfigs[name] {
		delete(out, "ConfigSynonyms")
	}
	return out
}

func (t *tree) value(name string, v reflect.Value) any {
	switch x := v.Interface().(type) {
	case [16]byte:
		if topic, ok := t.ids[x]; ok {
			return "<id of " + topic + ">"
		}
		return "<id " + hex.EncodeToString(x[:]) + ">"
	case []byte:
		if name == "RecordBatches" {
			return describeRecords(x)
		}
		return "0x" + hex.EncodeToString(x)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return t.value(name, v.Elem())
	case reflect.Struct:
		return t.object(v)
	case reflect.Slice:
		return t.list(name, v)
	case reflect.String:
		return t.text(name, v.String())
	case reflect.Bool:
		return v.Bool()
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return t.number(name, v.Int())
	}
}

func (t *tree) text(name, s string) string {
	switch name {
	case "ClusterID":
		return "<cluster>"
	case "Dir", "LogDir":
		return "<dir>"
	}
	if (name == "MemberID" || name == "LeaderID") && shortUUID.MatchString(s) {
		return t.member(s)
	}
	if uuid.MatchString(s) {
		return uuid.ReplaceAllStringFunc(s, t.member)
	}
	return clockRange.ReplaceAllString(s, "within <now less x, now plus y>")
}

// uuid is the random part of a member id.
var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// shortUUID is an id that a broker gives to a member of a consumer group.
var shortUUID = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)

// member numbers member ids in the order in which they are met.
func (t *tree) member(id string) string {
	if t.members[id] == 0 {
		t.members[id] = len(t.members) + 1
	}
	return fmt.Sprintf("<%d>", t.members[id])
}

func (t *tree) number(name string, n int64) any {
	switch {
	case name == "ErrorCode":
		text := strconv.FormatInt(n, 10)
		if e := kerr.TypedErrorForCode(int16(n)); e != nil {
			text = e.Message + " " + text
		}
		return text
	case name == "Port" && int32(n) == t.port:
		return "<port>"
	case (name == "TotalBytes" || name == "UsableBytes") && n >= 0:
		return "<bytes>"
	case name == "SessionID":
		return "<session>"
	case name == "ProducerID":
		return maskID(n)
	case name == "FinalizedFeaturesEpoch" && n >= 0:
		return "<epoch>"
	case (name == "LogAppendTime" || name == "Timestamp" || name == "LogAppendTimeMs" || name == "LastTimestamp" || name == "StartTimestamp") && n >= clockFrom:
		return "<now>"
	}
	return strconv.FormatInt(n, 10)
}

func (t *tree) list(name string, v reflect.Value) any {
	if v.IsNil() {
		return nil
	}
	type entry struct {
		key   string
		value any
	}
	entries := []entry{}
	for i := range v.Len() {
		e := v.Index(i)
		key, keep := t.sortKey(name, e)
		if keep {
			entries = append(entries, entry{key, t.value(name, e)})
		}
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	out := make([]any, 0, len(entries))
	for _, e := range entries {
		out = append(out, e.value)
	}
	return out
}

// sortKey returns what elements of a list are ordered by, and whether the element is compared at all.
func (t *tree) sortKey(list string, e reflect.Value) (string, bool) {
	switch x := e.Interface().(type) {
	case kmsg.ApiVersionsResponseApiKey:
		return fmt.Sprintf("%05d", x.ApiKey), t.served[x.ApiKey]
	case kmsg.MetadataResponseTopic:
		return t.topicKey(x.Topic, x.TopicID)
	case kmsg.DescribeTopicPartitionsResponseTopic:
		return t.topicKey(x.Topic, x.TopicID)
	case kmsg.ListGroupsResponseGroup:
		return x.Group, strings.HasPrefix(x.Group, t.own)
	case kmsg.DescribeLogDirsResponseDirTopic:
		return x.Topic, strings.HasPrefix(x.Topic, t.own)
	}
	if list == "SubscribedTopics" {
		return e.String(), true
	}
	if list == "ConfigSynonyms" || list == "ErrorRecords" || e.Kind() != reflect.Struct {
		return "", true
	}
	key := ""
	for i := range e.NumField() {
		f := e.Field(i)
		switch e.Type().Field(i).Name {
		case "Topic", "Name", "ResourceName", "Group":
			if f.Kind() == reflect.Pointer {
				if f.IsNil() {
					continue
				}
				f = f.Elem()
			}
			key += f.String() + "\x00"
		case "MemberID":
			key += t.text("MemberID", f.String()) + "\x00"
		case "Partition", "NodeID", "ResourceType", "ErrorCode":
			key += fmt.Sprintf("%010d\x00", f.Int()+1)
		case "TopicID":
			key += t.ids[f.Interface().([16]byte)] + "\x00"
		}
	}
	return key, true
}

func (t *tree) topicKey(name *string, id [16]byte) (string, bool) {
	if name == nil {
		return t.ids[id], true
	}
	ours := strings.HasPrefix(*name, t.own) || !strings.Contains(*name, ".")
	return *name, ours && !strings.HasPrefix(*name, "__")
}

// flatten lists the leaves of a decoded JSON value by their paths.
func flatten(path string, v any, into map[string]string) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			flatten(strings.TrimPrefix(path+"."+k, "."), e, into)
		}
		if len(x) == 0 {
			into[path] = "{}"
		}
	case []any:
		for i, e := range x {
			at := fmt.Sprintf("%s[%d]", path, i)
			if m, ok := e.(map[string]any); ok && m["Name"] != nil { // so that one more entry is one difference
				at = fmt.Sprintf("%s[%s]", path, m["Name"])
			}
			flatten(at, e, into)
		}
		if len(x) == 0 {
			into[path] = "[]"
		}
	default:
		text, _ := json.Marshal(x)
		into[path] = string(text)
	}
}
