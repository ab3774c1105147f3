package metadata

import "fmt"

// MaxTopicNameLength is the longest topic name: a directory name holds it and a partition number.
const MaxTopicNameLength = 249

// TopicNameError says with Kafka's words why a name cannot be a topic's: INVALID_TOPIC_EXCEPTION.
type TopicNameError struct{ Reason string }

func (e *TopicNameError) Error() string { return "Topic name is invalid: " + e.Reason }

// CheckTopicName says whether name can be a topic's; the error is a *TopicNameError.
func CheckTopicName(name string) error {
	switch {
	case name == "":
		return &TopicNameError{"the empty string is not allowed"}
	case name == "." || name == "..":
		return &TopicNameError{"'" + name + "' is not allowed"}
	case len(name) > MaxTopicNameLength:
		return &TopicNameError{fmt.Sprintf("the length of '%s' is longer than the max allowed length %d", name, MaxTopicNameLength)}
	}
	for i := range len(name) {
		if !isTopicNameByte(name[i]) {
			return &TopicNameError{"'" + name +
				"' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"}
		}
	}
	return nil
}

func isTopicNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}
