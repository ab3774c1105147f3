//go:build langs

package langs

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"minikafka/compat-tests/clients/sample"
)

var (
	kafkaPython = python("kafka-python", "python/kafka_python.py")
	confluent   = python("confluent-kafka-python", "python/confluent.py")
	kafkajs     = client{"kafkajs", []string{"node", "node/kafkajs.js"}, []string{"NODE_PATH=" + filepath.Join(cache(), "node/node_modules")}}
	java        = jvm("java", "Story")
	streams     = jvm("streams", "Streams")
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []client{kafkaPython, confluent, kafkajs, java} {
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
	t.Parallel()
	stories := []struct {
		client
		args []string
	}{
		{kafkaPython, []string{"assignor=range"}},
		{confluent, []string{"assignor=range"}},
		{confluent, []string{"assignor=cooperative-sticky"}},
		{kafkajs, []string{"assignor=roundrobin"}},
		{java, []string{"assignor=Range"}},
		{java, []string{"assignor=CooperativeSticky"}},
		{java, []string{"protocol=consumer"}},
		{confluent, []string{"protocol=consumer"}},
	}
	for _, s := range stories {
		t.Run(s.name+"-"+s.args[0], func(t *testing.T) { groupStory(t, s.client, s.name == kafkajs.name, s.args...) })
	}
}

func TestCopies(t *testing.T) {
	t.Parallel()
	stories := []struct {
		client
		copiers int
	}{{confluent, 2}, {java, 2}, {kafkajs, 1}} // kafkajs sends no generation with the offsets: one copier at a time
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) { copyStory(t, s.client, s.copiers) })
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	for _, c := range []client{python(kafkaPython.name, "python/kafka_python_admin.py"), python(confluent.name, "python/confluent_admin.py"), kafkajs} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t)
			p := c.play(t, c.name, "admin", "bootstrap="+s.addr, "topic="+sample.Topic(t))
			p.finish()
			require.NotEmpty(t, p.said("compared"))
		})
	}
}
