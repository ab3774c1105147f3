//go:build langs

package langs

import (
	"testing"
)

var (
	kafkaPython = python("kafka-python", "python/kafka_python.py")
	confluent   = python("confluent-kafka-python", "python/confluent.py")
)

func TestRoundTrip(t *testing.T) {
	for _, c := range []client{kafkaPython, confluent} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t)
			name := topic(t, franz(t, s.addr), 3)
			p := c.play(t, c.name, "roundtrip", "bootstrap="+s.addr, "topic="+name)
			p.finish()
			t.Log(p.said("compared"))
		})
	}
}

func TestGroups(t *testing.T) {
	stories := []struct {
		client
		args []string
	}{
		{kafkaPython, []string{"assignor=range"}},
		{confluent, []string{"assignor=range"}},
		{confluent, []string{"assignor=cooperative-sticky"}},
	}
	for _, s := range stories {
		t.Run(s.name+"-"+s.args[0], func(t *testing.T) { groupStory(t, s.client, s.args...) })
	}
}

func TestCopies(t *testing.T) {
	for _, c := range []client{kafkaPython, confluent} {
		t.Run(c.name, func(t *testing.T) { copyStory(t, c, 2) })
	}
}
