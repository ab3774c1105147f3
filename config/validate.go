package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Roles of a node.
const (
	RoleBroker     = "broker"
	RoleController = "controller"
)

// requirement is Kafka's check of an argument, with the words that its texts start with.
func requirement(ok bool, text string) error {
	if ok {
		return nil
	}
	return &Error{Text: "requirement failed: " + text}
}

// firstError runs checks in order and stops at the first that fails.
func firstError(checks ...func() error) error {
	for _, c := range checks {
		if err := c(); err != nil {
			return err
		}
	}
	return nil
}

// validateStatic is what Kafka checks across rows when it starts.
func (v *Values) validateStatic() error {
	return firstError(v.validateRequired, v.validateLogs, v.validateReplication, v.validateQuorum, v.validateListeners, v.validateNetwork, v.validateGroups)
}

func (v *Values) validateRequired() error {
	required := []string{NodeID.Name(), processRoles.Name()}
	if !v.standsAlone() {
		required = append(required, controllerListeners.Name())
	}
	for _, name := range required {
		if !v.IsSet(name) {
			return &Error{Text: fmt.Sprintf("Missing required configuration %q which has no default value.", name)}
		}
	}
	return nil
}

// standsAlone: a node that is its own quorum needs no controller listener. Kafka always wants one.
func (v *Values) standsAlone() bool {
	roles := Get(v, processRoles)
	return slices.Contains(roles, RoleBroker) && slices.Contains(roles, RoleController) &&
		len(Get(v, quorumVoters)) == 0 && len(Get(v, quorumBootstrapServers)) == 0
}

func (v *Values) validateLogs() error {
	return firstError(
		func() error {
			return requirement(Get(v, SegmentMs) >= time.Millisecond, "log.roll.ms must be greater than or equal to 1")
		},
		func() error {
			return requirement(Get(v, SegmentJitterMs) >= 0, "log.roll.jitter.ms must be greater than or equal to 0")
		},
		func() error {
			return requirement(Get(v, RetentionMs) != 0, "log.retention.ms must be unlimited (-1) or, greater than or equal to 1")
		},
		func() error {
			threads := v.number("log.cleaner.threads")
			return requirement(threads == 0 || v.number("log.cleaner.dedupe.buffer.size")/threads > 1<<20,
				"log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.")
		},
	)
}

func (v *Values) validateReplication() error {
	return firstError(
		func() error {
			return requirement(v.number("replica.fetch.wait.max.ms") <= v.number("replica.socket.timeout.ms"),
				"replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to prevent unnecessary socket timeouts")
		},
		func() error {
			return requirement(v.number("replica.fetch.wait.max.ms") <= v.number("replica.lag.time.max.ms"),
				"replica.fetch.wait.max.ms should always be less than or equal to replica.lag.time.max.ms to prevent frequent changes in ISR")
		},
	)
}

func (v *Values) validateNetwork() error {
	queued := Get(v, QueuedMaxRequestBytes)
	failedDelay := v.number("connection.failed.authentication.delay.ms")
	return firstError(
		func() error {
			return requirement(queued <= 0 || queued >= int64(Get(v, SocketRequestMaxBytes)),
				"queued.max.request.bytes must be larger or equal to socket.request.max.bytes")
		},
		func() error {
			overrides, _ := v.raw(Lookup(BrokerScope, "max.connections.per.ip.overrides"))
			return requirement(Get(v, MaxConnectionsPerIP) != 0 || overrides != "",
				"max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.")
		},
		func() error {
			idle := v.number("connections.max.idle.ms")
			return requirement(idle <= 0 || failedDelay < idle, fmt.Sprintf(
				"connection.failed.authentication.delay.ms=%d should always be less than connections.max.idle.ms=%d to prevent failed authentication responses from timing out",
				failedDelay, idle))
		},
	)
}

// raw is the text of a broker row that is in force: the strongest level's, else the default; false: null.
func (v *Values) raw(r *Row) (string, bool) {
	for _, level := range v.brokerLevels() {
		if text, ok := level[r.Name]; ok {
			return text, true
		}
	}
	return r.Default()
}

// number is the value of an integer row that has no typed key; 0 where it is null or does not parse.
func (v *Values) number(name string) int64 {
	r := Lookup(BrokerScope, name)
	text, _ := v.raw(r)
	parsed, err := r.Parse(text)
	if err != nil {
		return 0
	}
	n, _ := parsed.(int64)
	return n
}

func (v *Values) validateQuorum() error {
	voters, err := v.voters()
	if err != nil {
		return err
	}
	if len(voters) == 0 && len(Get(v, quorumBootstrapServers)) == 0 {
		if v.standsAlone() {
			return nil
		}
		return &Error{Text: "If using process.roles, either controller.quorum.bootstrap.servers must contain the set of " +
			"bootstrap controllers or controller.quorum.voters must contain a parseable set of controllers."}
	}
	node, roles := Get(v, NodeID), Get(v, processRoles)
	isVoter := slices.Contains(voters, node)
	shown := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(voters)), ", "), "[]")
	if !slices.Contains(roles, RoleController) {
		return requirement(!isVoter, fmt.Sprintf("If process.roles contains just the 'broker' role, the node id %d must not be "+
			"included in the set of voters controller.quorum.voters=Set(%s)", node, shown))
	}
	return requirement(len(voters) == 0 || isVoter, fmt.Sprintf("If process.roles contains the 'controller' role, the node id %d "+
		"must be included in the set of voters controller.quorum.voters=Set(%s)", node, shown))
}

// RequireNoAuthorizer is an error when the configuration wants access control: without an authorizer here
// everyone would be let in, and that must not be found out later. With allow.everyone.if.no.acl.found=true
// it is what the configuration asks for, because no ACL can be made.
func RequireNoAuthorizer(v *Values) error {
	const key = "authorizer.class.name"
	name, _ := v.Static(key)
	everyone, _ := v.Static("allow.everyone.if.no.acl.found")
	if name == "" || strings.EqualFold(everyone, "true") {
		return nil
	}
	return &Error{Text: fmt.Sprintf("%s=%s: access control is not served yet, and without it everyone may do everything. "+
		"Remove %s, or set allow.everyone.if.no.acl.found=true, to serve so", key, name, key)}
}

// RequireAlone is an error unless the node is broker and controller in one and, as far as the configuration
// says, its quorum's only voter: nothing else is served yet, and a node that went on as if it were alone
// would make a second cluster beside that of its peers.
func RequireAlone(v *Values) error {
	roles := Get(v, processRoles)
	if !slices.Contains(roles, RoleBroker) || !slices.Contains(roles, RoleController) {
		return &Error{Text: fmt.Sprintf("process.roles=%s is not served yet: only broker,controller is", strings.Join(roles, ","))}
	}
	voters, err := v.voters()
	if err != nil {
		return err
	}
	if len(voters) > 1 {
		return &Error{Text: fmt.Sprintf("controller.quorum.voters has %d voters: more than one is not served yet", len(voters))}
	}
	if n := len(Get(v, quorumBootstrapServers)); n > 1 {
		return &Error{Text: fmt.Sprintf("controller.quorum.bootstrap.servers has %d controllers: more than one is not served yet", n)}
	}
	return nil
}

// voters are the ids of controller.quorum.voters.
func (v *Values) voters() (ids []int32, err error) {
	const form = "Each entry should be in the form `{id}@{host}:{port}`."
	for _, entry := range Get(v, quorumVoters) {
		id, address, ok := strings.Cut(entry, "@")
		if !ok {
			return nil, &Error{Text: "Invalid configuration value for controller.quorum.voters. " + form}
		}
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil {
			return nil, &Error{Text: "Failed to parse voter ID as integer from " + id}
		}
		colon := strings.LastIndexByte(address, ':')
		if colon <= 0 {
			return nil, &Error{Text: "Failed to parse host name from entry " + entry +
				" for the configuration controller.quorum.voters. " + form}
		}
		if _, err := strconv.ParseUint(address[colon+1:], 10, 16); err != nil {
			return nil, &Error{Text: "Failed to parse host port from entry " + entry +
				" for the configuration controller.quorum.voters. " + form}
		}
		ids = append(ids, int32(n))
	}
	return ids, nil
}

func (v *Values) validateListeners() error {
	interBroker, err := InterBrokerListener(v)
	if err != nil {
		return err
	}
	bound, err := endpoints(v, Get(v, listeners), true)
	if err != nil {
		return err
	}
	controllers := Get(v, controllerListeners)
	isControllers := func(e endpoint) bool { return slices.Contains(controllers, e.name) }
	advertised, err := advertisedEndpoints(v)
	if err != nil {
		return err
	}
	advertised = slices.DeleteFunc(advertised, isControllers)
	roles := Get(v, processRoles)
	return firstError(
		func() error { return v.validateRoles(roles, bound, isControllers) },
		func() error {
			if !slices.Contains(roles, RoleBroker) {
				return nil
			}
			return validateAdvertised(interBroker, bound, advertised)
		},
		func() error {
			return requirement(!slices.ContainsFunc(advertised, func(e endpoint) bool { return e.host == "0.0.0.0" }),
				"advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.")
		},
	)
}

// validateRoles: which listeners the node's roles want, and which they forbid.
func (v *Values) validateRoles(roles []string, bound []endpoint, isControllers func(endpoint) bool) error {
	hasControllers := slices.ContainsFunc(bound, isControllers)
	switch {
	case v.standsAlone():
		return nil
	case !slices.Contains(roles, RoleController):
		return requirement(!hasControllers, "controller.listener.names must not contain a value appearing in the 'listeners' "+
			"configuration when running KRaft with just the broker role")
	case !slices.Contains(roles, RoleBroker) && slices.ContainsFunc(bound, func(e endpoint) bool { return !isControllers(e) }):
		return requirement(false, "The listeners config must only contain KRaft controller listeners from "+
			"controller.listener.names when process.roles=controller")
	}
	return requirement(hasControllers, "controller.listener.names must contain at least one value appearing in the "+
		"'listeners' configuration when running the KRaft controller role")
}

func validateAdvertised(interBroker string, bound, advertised []endpoint) error {
	boundNames, names := namesOf(bound), namesOf(advertised)
	return firstError(
		func() error {
			return requirement(len(advertised) > 0, "There must be at least one broker advertised listener. "+
				"Perhaps all listeners appear in controller.listener.names?")
		},
		func() error {
			return requirement(slices.Contains(names, interBroker), "inter.broker.listener.name must be a listener name "+
				"defined in advertised.listeners. The valid options based on currently configured listeners are "+
				strings.Join(names, ","))
		},
		func() error {
			return requirement(!slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(boundNames, n) }),
				"advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found "+
					strings.Join(names, ",")+". The valid options based on the current configuration are "+
					strings.Join(boundNames, ","))
		},
	)
}

func namesOf(endpoints []endpoint) (names []string) {
	for _, e := range endpoints {
		names = append(names, e.name)
	}
	return names
}

// ValidateTopic checks a topic's whole set of overrides against v, the node's values, which lend the
// rows that are not overridden. The error is an *Error with Kafka's text: INVALID_CONFIG.
func (v *Values) ValidateTopic(overrides map[string]string) error {
	names := slices.Sorted(maps.Keys(overrides))
	for _, name := range names {
		if Lookup(TopicScope, name) == nil {
			return &Error{Text: "Unknown topic config name: " + name}
		}
	}
	for _, name := range names {
		if _, err := Lookup(TopicScope, name).Parse(overrides[name]); err != nil {
			return err
		}
	}
	t := v.Topic(overrides)
	lo, hi := Get(t, MinCompactionLagMs), Get(t, MaxCompactionLagMs)
	if lo > hi {
		return &Error{Text: fmt.Sprintf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)",
			lo.Milliseconds(), hi.Milliseconds())}
	}
	if on, err := Lookup(TopicScope, "remote.storage.enable").Parse(overrides["remote.storage.enable"]); err == nil && on == true {
		return &Error{Text: "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."}
	}
	return nil
}
