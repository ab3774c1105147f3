package groupcoord

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
)

// MatchTopics is a ResolvePattern: RE2, which Kafka's RE2/J is too. A pattern matches a name as a whole.
// As in Kafka a pattern can match internal topics: Kafka leaves them out nowhere in the coordinator, and
// the client's exclude.internal.topics is of patterns that the client resolves. Whoever has an authorizer
// takes out what the member may not describe.
func MatchTopics(pattern string, topics Topics) ([]string, error) {
	if _, err := regexp.Compile(pattern); err != nil { // alone: "a)(b" must not become valid in brackets
		return nil, patternError(err)
	}
	whole, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, patternError(err)
	}
	names := []string{}
	for t := range topics.All() {
		if whole.MatchString(t.Name) {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// patternError is what is wrong with a pattern, in RE2's words, which Kafka passes on to the client.
func patternError(err error) error {
	if e := (*syntax.Error)(nil); errors.As(err, &e) {
		return errors.New(e.Code.String())
	}
	return err
}
