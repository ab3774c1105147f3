//go:build kafka

package interop

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What Kafka keeps in its metadata and ours only hands on: quotas, SCRAM credentials, ACLs, configs of groups and
// client metrics; and the dynamic configs of brokers, which both know.

const (
	groupResource         = kmsg.ConfigResourceTypeGroupConfig
	clientMetricsResource = kmsg.ConfigResourceTypeClientMetrics
)

// keep changes all of it. The round makes the values differ.
func (n *node) keep(round int) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	cl := n.client()
	adm := kadm.NewClient(cl)
	user := "alice"
	quotas, err := adm.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "user", Name: &user}},
		Ops:    []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: float64(1000 + round)}},
	}})
	require.NoError(n.t, err)
	require.NoError(n.t, quotas[0].Err)
	scram, err := adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{
		User: fmt.Sprint("user", round), Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "secret",
	}})
	require.NoError(n.t, err)
	require.NoError(n.t, scram.Error())
	acls, err := adm.CreateACLs(ctx, kadm.NewACLs().Allow("User:bob").AllowHosts("*").Topics(fmt.Sprint("acl-", round)).
		ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpRead))
	require.NoError(n.t, err)
	for _, a := range acls {
		require.NoError(n.t, a.Err)
	}
	n.setConfig(groupResource, "g", "consumer.session.timeout.ms", fmt.Sprint(50000+round))
	n.setConfig(clientMetricsResource, "m", "interval.ms", fmt.Sprint(60000+round))
}

func (n *node) setConfig(kind kmsg.ConfigResourceType, resource, name, value string) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, resource
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = name, &value
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, n.client())
	require.NoError(n.t, err)
	require.Zero(n.t, resp.Resources[0].ErrorCode, "%v", resp.Resources[0].ErrorMessage)
}

// kept is what Kafka says of it.
func (n *node) kept() []string {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	adm := kadm.NewClient(n.client())
	var out []string
	quotas, err := adm.DescribeClientQuotas(ctx, false, nil)
	require.NoError(n.t, err)
	for _, q := range quotas {
		out = append(out, fmt.Sprintf("quota %v %v", q.Entity, q.Values))
	}
	scram, err := adm.DescribeUserSCRAMs(ctx)
	require.NoError(n.t, err)
	for _, s := range scram {
		out = append(out, fmt.Sprintf("scram %s %v", s.User, s.CredInfos))
	}
	acls, err := adm.DescribeACLs(ctx, kadm.NewACLs().AnyResource().ResourcePatternType(kadm.ACLPatternAny).
		Operations(kadm.OpAny).Allow().Deny().AllowHosts().DenyHosts())
	require.NoError(n.t, err)
	for _, filter := range acls {
		require.NoError(n.t, filter.Err)
		for _, a := range filter.Described {
			out = append(out, fmt.Sprintf("acl %+v", a))
		}
	}
	out = append(out, n.configs(groupResource, "g")...)
	out = append(out, n.configs(clientMetricsResource, "m")...)
	slices.Sort(out)
	return slices.Compact(out)
}

// configs are a resource's own dynamic configs.
func (n *node) configs(kind kmsg.ConfigResourceType, resource string) (out []string) {
	n.t.Helper()
	ctx, cancel := n.within()
	defer cancel()
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, resource
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(ctx, n.client())
	require.NoError(n.t, err)
	require.Zero(n.t, resp.Resources[0].ErrorCode)
	for _, c := range resp.Resources[0].Configs {
		if c.Value != nil && c.Source != kmsg.ConfigSourceDefaultConfig && c.Source != kmsg.ConfigSourceStaticBrokerConfig {
			out = append(out, fmt.Sprintf("config %v %s %s=%s source %v", kind, resource, c.Name, *c.Value, c.Source))
		}
	}
	slices.Sort(out) // the order is a hash map's in Kafka
	return out
}
