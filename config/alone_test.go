package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNodeThatIsNotAloneIsNotServedYet(t *testing.T) {
	for lines, message := range map[string]string{
		"process.roles=broker\ncontroller.quorum.voters=2@h:1":                             "process.roles=broker is not served yet",
		"process.roles=broker,controller\ncontroller.quorum.voters=1@h:1,2@h:2,3@h:3":      "controller.quorum.voters has 3 voters",
		"process.roles=broker,controller\ncontroller.quorum.bootstrap.servers=h:1,h:2":     "controller.quorum.bootstrap.servers has 2",
		"process.roles=controller,broker\ncontroller.quorum.voters=1@127.0.0.1:9093":       "",
		"process.roles=controller,broker\ncontroller.quorum.bootstrap.servers=h.example:1": "",
		"process.roles=broker,controller":                                                  "",
	} {
		listeners := "PLAINTEXT://:9092"
		if !strings.HasPrefix(lines, "process.roles=broker\n") {
			listeners += ",CONTROLLER://:9093"
		}
		v, _, err := Load(Sources{File: []byte("node.id=1\nlisteners=" + listeners + "\n" +
			"controller.listener.names=CONTROLLER\nadvertised.listeners=PLAINTEXT://h:9092\nlog.dirs=/data\n" +
			"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n" + lines)})
		if err == nil {
			err = RequireAlone(v)
		}
		if message == "" {
			require.NoError(t, err, lines)
		} else {
			require.ErrorContains(t, err, message, lines)
		}
	}
}

func TestAccessControlThatIsNotThereStopsTheStart(t *testing.T) {
	authorizer := map[string]string{"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer"}
	require.ErrorContains(t, RequireNoAuthorizer(New(authorizer)), "everyone may do everything")
	authorizer["allow.everyone.if.no.acl.found"] = "true"
	require.NoError(t, RequireNoAuthorizer(New(authorizer)))
	require.NoError(t, RequireNoAuthorizer(New(nil)))
}
