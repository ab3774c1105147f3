package replication

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minikafka/metadata"
)

// runningNode has seen the image of its start, which is empty.
func runningNode(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	n.firstApply()
	return n
}

// directories are the names in the log directory that begin with prefix.
func (n *node) directories(prefix string) []string {
	n.t.Helper()
	entries, err := n.fs.ReadDir("/d")
	require.NoError(n.t, err)
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestLogsOfANewTopicAreMadeOnTheirFirstUseOrInAWhile(t *testing.T) {
	n := runningNode(t)
	defer n.Close()
	n.apply(topicRecords("t", 7, 50, 1)...)
	p, isNew := n.Hosted("t", 3)
	require.True(t, isNew)
	require.NotNil(t, p)
	require.EqualValues(t, 0, mustAppend(t, n.Partition("t", 3), 2).FirstOffset)
	_, isNew = n.Hosted("t", 3)
	require.False(t, isNew)
	require.Less(t, len(n.directories("t-")), 50, "whoever made the topic does not wait for all of them")
	require.Eventually(t, func() bool { return len(n.directories("t-")) == 50 }, 5*time.Second, 10*time.Millisecond)
	n.opening.Wait()
	require.Len(t, n.store.Logs(), 50)
}

func TestSettleMakesEveryLog(t *testing.T) {
	n := runningNode(t)
	n.apply(topicRecords("t", 7, 20, 1)...)
	n.Settle(context.Background())
	require.Len(t, n.store.Logs(), 20)
	n.Close()
}

func TestCloseEndsTheMakingOfNewLogs(t *testing.T) {
	n := runningNode(t)
	n.apply(topicRecords("t", 7, 20, 1)...)
	n.Close()
	n.apply(topicRecords("u", 8, 20, 1)...)
	n.Close()
	require.Empty(t, n.directories("t-"))
	require.NotNil(t, n.Partition("u", 1), "what is used is there all the same")
}

func TestConfigThatChangesBeforeTheFirstUseIsInForce(t *testing.T) {
	n := runningNode(t)
	defer n.Close()
	n.apply(topicRecords("t", 7, 2, 1)...)
	limit := "100"
	n.apply(&metadata.ConfigRecord{ResourceType: metadata.ResourceTopic, ResourceName: "t", Name: "max.message.bytes", Value: &limit})
	require.Empty(t, n.directories("t-"), "a changed config makes no log")
	require.EqualValues(t, 100, n.Partition("t", 1).MaxMessageBytes())
}

func TestANewTopicThatIsDeletedLeavesNothing(t *testing.T) {
	n := runningNode(t)
	defer n.Close()
	n.apply(topicRecords("t", 7, 3, 1)...)
	p, _ := n.Hosted("t", 0)
	n.apply(&metadata.RemoveTopicRecord{TopicID: metadata.UUID{7}})
	n.Open(p)
	require.Empty(t, n.directories("t-"))
	_, err := p.Append(AppendRequest{Acks: 1})
	require.ErrorIs(t, err, ErrUnknownPartition)
	n.apply(topicRecords("t", 8, 3, 1)...)
	require.EqualValues(t, 0, mustAppend(t, n.Partition("t", 0), 1).FirstOffset)
	require.Equal(t, metadata.UUID{8}, metadata.UUID(n.Partition("t", 0).Log().TopicID()))
}
