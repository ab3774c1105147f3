package metadata

import "fmt"

// KRaftVersion is the feature whose level stands in a control record of the metadata log, not in the image.
const KRaftVersion = "kraft.version"

// MetadataVersion is the feature whose level says in which versions records are written.
const MetadataVersion = "metadata.version"

const latestMetadataVersion = 33 // 4.4-IV2

// SupportedFeatures are the feature levels that this server can run with, as brokers register them and as
// ApiVersions shows them: those of Kafka 4.4, by name.
func SupportedFeatures() []FeatureRange {
	return []FeatureRange{
		{Name: "eligible.leader.replicas.version", Max: 1},
		{Name: "group.version", Max: 1},
		{Name: KRaftVersion, Max: 1},
		{Name: MetadataVersion, Min: 7, Max: latestMetadataVersion},
		{Name: "share.version", Max: 2},
		{Name: "streams.version", Max: 1},
		{Name: "transaction.version", Max: 2},
	}
}

// UnsupportedFeatureError is a finalized feature level that this server does not have: what it makes of
// records and requests is not known, so nothing may be served.
type UnsupportedFeatureError struct {
	Name     string
	Level    int16
	Min, Max int16 // both 0: the feature itself is not known
}

func (e *UnsupportedFeatureError) Error() string {
	if e.Min == 0 && e.Max == 0 {
		return fmt.Sprintf("feature %s has level %d, and this server does not know it", e.Name, e.Level)
	}
	return fmt.Sprintf("feature %s has level %d, and this server knows %d to %d", e.Name, e.Level, e.Min, e.Max)
}

// CheckFeature is an *UnsupportedFeatureError unless the level is supported. Level 0 is that of a feature
// that is not in use.
func CheckFeature(name string, level int16) error {
	if level == 0 {
		return nil
	}
	for _, f := range SupportedFeatures() {
		if f.Name != name {
			continue
		}
		if level >= f.Min && level <= f.Max {
			return nil
		}
		return &UnsupportedFeatureError{Name: name, Level: level, Min: f.Min, Max: f.Max}
	}
	return &UnsupportedFeatureError{Name: name, Level: level}
}
