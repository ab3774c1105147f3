// Package config is the table of configurations: one declaration is one row, and the typed key is the
// row. server.properties, the environment, DescribeConfigs, validation and docs/configs.md derive from it.
//
// A node's Values come from Load (or Static); WithDynamic puts the dynamic broker configs of the metadata
// image on top, and Topic makes a topic's view. All are immutable: make them once per image, not per
// request. Get costs an index and a type assertion.
//
// What is not obvious:
//   - A topic config's key is the row of the broker config that is its default: Get(node, SegmentBytes) is
//     log.segment.bytes, Get(view, SegmentBytes) is segment.bytes.
//   - Within a level, milliseconds win over minutes over hours; a stronger level's hours would win over a
//     weaker level's milliseconds, but hours are never dynamic.
//   - A long time ("for ever" is the largest int64 of milliseconds) saturates at the largest Duration.
//     Limits that Kafka writes as -1 are negative Durations.
//   - DescribeConfigs leaves hours alone out of the synonyms of milliseconds and so calls the source
//     DEFAULT; CreateTopics calls the same value STATIC. Both as Kafka does.
//   - known_gen.go holds Kafka's names that nothing here reads (Row.Effect is false): described and
//     validated, and warned about when a start sets one. A row that gets a reader moves to topic.go or
//     broker.go; then go test ./config -update, twice.
//
// testdata holds what Apache Kafka 4.4.0 says: its table (configs-4.4.0.tsv), its checks
// (checks-4.4.0.tsv), and a DescribeConfigs of everything (describe-4.4.0.txt).
package config
