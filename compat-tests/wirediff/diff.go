package wirediff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	recordings  = "testdata/kafka-4.4.0"
	allowedFile = "differences.txt"
)

// rule is a line of differences.txt: a difference that is meant, and why.
type rule struct {
	step, path string // patterns: * is any text
	reason     string
	line       int
	used       bool
}

// readRules reads lines of "scenario/step | path | reason"; a line that begins with # is a comment.
func readRules(file string) ([]*rule, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var rules []*rule
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, " | ", 3)
		if len(f) != 3 || strings.TrimSpace(f[2]) == "" {
			return nil, fmt.Errorf("%s:%d: want \"scenario/step | path | reason\"", file, n)
		}
		rules = append(rules, &rule{step: strings.TrimSpace(f[0]), path: strings.TrimSpace(f[1]), reason: f[2], line: n})
	}
	return rules, nil
}

// matches says whether text fits a pattern in which * is any text.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(text, p)
		if i < 0 {
			return false
		}
		text = text[i+len(p):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// A Difference is one leaf that two brokers disagree on.
type Difference struct{ Step, Path, Want, Got string }

func (d Difference) String() string {
	return fmt.Sprintf("%s | %s\n    Kafka %s\n    here  %s", d.Step, d.Path, d.Want, d.Got)
}

// compare lists the differences of two runs of a scenario that no rule allows.
func compare(scenario string, want, got []Exchange, rules []*rule) []Difference {
	var out []Difference
	add := func(d Difference) {
		for _, r := range rules {
			if matches(r.step, d.Step) && matches(r.path, d.Path) {
				r.used = true
				return
			}
		}
		out = append(out, d)
	}
	gotByStep := map[string]Exchange{}
	for _, x := range got {
		gotByStep[x.Step] = x
	}
	for _, w := range want {
		step := scenario + "/" + w.Step
		g, ok := gotByStep[w.Step]
		if !ok {
			add(Difference{step, "step", "done", "not reached"})
			continue
		}
		delete(gotByStep, w.Step)
		compareExchange(step, w, g, add)
	}
	for name := range gotByStep {
		add(Difference{scenario + "/" + name, "step", "not recorded", "done"})
	}
	return out
}

func compareExchange(step string, want, got Exchange, add func(Difference)) {
	if want.Outcome != got.Outcome {
		add(Difference{step, "outcome", want.Outcome + summary(want), got.Outcome + summary(got)})
		return
	}
	if want.Loose != got.Loose {
		add(Difference{step, "encoding", fmt.Sprintf("loose=%t", want.Loose), fmt.Sprintf("loose=%t", got.Loose)})
	}
	w, g := map[string]string{}, map[string]string{}
	flatten("", want.Response, w)
	flatten("", got.Response, g)
	paths := sortedKeys(w)
	for _, p := range sortedKeys(g) {
		if _, ok := w[p]; !ok {
			paths = append(paths, p)
		}
	}
	for _, p := range paths {
		if w[p] != g[p] {
			add(Difference{step, p, leaf(w, p), leaf(g, p)})
		}
	}
}

func summary(x Exchange) string {
	if x.Response == nil {
		return ""
	}
	text, _ := json.Marshal(x.Response)
	return " " + string(text[:min(len(text), 300)])
}

func leaf(m map[string]string, path string) string {
	if v, ok := m[path]; ok {
		return v
	}
	return "(default)"
}

// normal brings the exchanges of a run into the form that they have when they are read from a file.
func normal(xs []Exchange) ([]byte, []Exchange, error) {
	var buf bytes.Buffer
	buf.WriteString("[\n")
	for i, x := range xs {
		line, err := marshal(x)
		if err != nil {
			return nil, nil, err
		}
		if buf.Write(line); i < len(xs)-1 {
			buf.WriteByte(',')
		}
		buf.WriteByte('\n')
	}
	buf.WriteString("]\n")
	var out []Exchange
	return buf.Bytes(), out, json.Unmarshal(buf.Bytes(), &out)
}

func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(buf.Bytes()), err
}

func recordingOf(scenario string) string { return filepath.Join(recordings, scenario+".json") }

func readRecording(scenario string) ([]Exchange, error) {
	data, err := os.ReadFile(recordingOf(scenario))
	if err != nil {
		return nil, err
	}
	var out []Exchange
	return out, json.Unmarshal(data, &out)
}

// driven lists one line per key and version that the recorded exchanges drive: key, version, test.
func driven(runs map[string][]Exchange) string {
	type kv struct{ key, version int16 }
	tests := map[kv]string{}
	note := func(k kv, test string) {
		if _, ok := tests[k]; !ok {
			tests[k] = test
		}
	}
	for _, sc := range corpus() {
		for _, x := range runs[sc.name] {
			test := "wirediff.TestAnswersAreKafkas/" + sc.name + ": " + x.Step
			closedProduce := x.Key == 0 && x.Version >= 0 && x.Version < 3 && x.Outcome == "closed"
			if closedProduce {
				note(kv{x.Key, x.Version}, test+" (closed)")
			}
			for _, a := range served {
				if a.key == x.Key && x.Version >= a.min && x.Version <= a.max && x.Outcome == "answered" {
					note(kv{x.Key, x.Version}, test)
				}
			}
		}
	}
	keys := make([]kv, 0, len(tests))
	for k := range tests {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b kv) int { return int(a.key-b.key)*1000 + int(a.version-b.version) })
	var out strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&out, "%d\t%d\t%s\n", k.key, k.version, tests[k])
	}
	return out.String()
}
