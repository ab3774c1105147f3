package config

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Protocol is a listener's security protocol, with the number that the wire and the metadata log have.
type Protocol int16

// Security protocols.
const (
	Plaintext Protocol = iota
	SSL
	SASLPlaintext
	SASLSSL
)

var protocolNames = [...]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// String is Kafka's name of the protocol.
func (p Protocol) String() string { return protocolNames[p] }

// Listener is one entry of listeners, with what is advertised for it.
type Listener struct {
	Name     string // upper case
	Host     string // "": all interfaces
	Port     int32  // 0: any free one
	Protocol Protocol
	// Advertised is false for a listener that advertised.listeners leaves out: it serves, unannounced.
	Advertised     bool
	AdvertisedHost string
	AdvertisedPort int32 // 0: the port that was bound
}

// endpoint is a parsed entry of listeners or advertised.listeners; host "" is none.
type endpoint struct {
	name, host string
	port       int32
	protocol   Protocol
}

// Listeners are the listeners that clients and brokers use: those of the controllers are left out.
func Listeners(v *Values) ([]Listener, error) {
	all, err := boundListeners(v)
	if err != nil {
		return nil, err
	}
	controllers := Get(v, controllerListeners)
	return slices.DeleteFunc(all, func(l Listener) bool { return slices.Contains(controllers, l.Name) }), nil
}

// ControllerListeners are the listeners of the controller role; empty when this node has none.
func ControllerListeners(v *Values) ([]Listener, error) {
	all, err := boundListeners(v)
	if err != nil {
		return nil, err
	}
	controllers := Get(v, controllerListeners)
	return slices.DeleteFunc(all, func(l Listener) bool { return !slices.Contains(controllers, l.Name) }), nil
}

// InterBrokerListener is the name of the listener that brokers use among themselves.
func InterBrokerListener(v *Values) (string, error) {
	protocols, err := protocolMap(v)
	if err != nil {
		return "", err
	}
	name := strings.ToUpper(Get(v, interBrokerListener))
	if name == "" {
		return Get(v, interBrokerProtocol), nil
	}
	if v.IsSet(interBrokerProtocol.Name()) {
		return "", &Error{Text: "Only one of inter.broker.listener.name and security.inter.broker.protocol should be set."}
	}
	if _, ok := protocols[name]; !ok {
		return "", &Error{Text: "Listener with name " + name +
			" defined in inter.broker.listener.name not found in listener.security.protocol.map."}
	}
	return name, nil
}

func boundListeners(v *Values) ([]Listener, error) {
	bound, err := endpoints(v, Get(v, listeners), true)
	if err != nil {
		return nil, err
	}
	advertised, err := advertisedEndpoints(v)
	if err != nil {
		return nil, err
	}
	all := make([]Listener, 0, len(bound))
	for _, e := range bound {
		l := Listener{Name: e.name, Host: e.host, Port: e.port, Protocol: e.protocol}
		if i := slices.IndexFunc(advertised, func(a endpoint) bool { return a.name == e.name }); i >= 0 {
			l.Advertised, l.AdvertisedHost, l.AdvertisedPort = true, advertised[i].host, advertised[i].port
			if l.AdvertisedHost == "" {
				l.AdvertisedHost = hostName()
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// advertisedEndpoints are those of advertised.listeners, or where it is not set those of listeners.
func advertisedEndpoints(v *Values) ([]endpoint, error) {
	if entries := Get(v, advertisedListeners); entries != nil {
		return endpoints(v, entries, false)
	}
	return endpoints(v, Get(v, listeners), true)
}

func hostName() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}

var listenerEntry = regexp.MustCompile(`^(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$`)

// endpoints parses entries; ports of listeners differ, those of advertised.listeners may be shared.
func endpoints(v *Values, entries []string, portsDiffer bool) ([]endpoint, error) {
	protocols, err := protocolMap(v)
	if err != nil {
		return nil, err
	}
	parsed, err := parseEndpoints(entries, protocols)
	if err == nil {
		err = distinct(parsed, "["+strings.Join(entries, ", ")+"]", portsDiffer)
	}
	if err != nil {
		return nil, &Error{Text: fmt.Sprintf("Error creating broker listeners from '[%s]': %s", strings.Join(entries, ", "), err)}
	}
	return parsed, nil
}

func parseEndpoints(entries []string, protocols map[string]Protocol) ([]endpoint, error) {
	parsed := make([]endpoint, 0, len(entries))
	for _, entry := range entries {
		m := listenerEntry.FindStringSubmatch(entry)
		if m == nil {
			return nil, &Error{Text: "Unable to parse " + entry + " to a broker endpoint"}
		}
		port, err := strconv.ParseInt(m[3], 10, 32)
		if err != nil {
			return nil, &Error{Text: "Unable to parse " + entry + " to a broker endpoint"}
		}
		name := strings.ToUpper(m[1])
		protocol, ok := protocols[name]
		if !ok {
			return nil, &Error{Text: "No security protocol defined for listener " + name}
		}
		parsed = append(parsed, endpoint{name: name, host: m[2], port: int32(port), protocol: protocol})
	}
	return parsed, nil
}

func distinct(parsed []endpoint, shown string, portsDiffer bool) error {
	byPort, names := map[int32][]endpoint{}, map[string]bool{}
	for _, e := range parsed {
		names[e.name] = true
		if e.port != 0 {
			byPort[e.port] = append(byPort[e.port], e)
		}
	}
	if len(names) != len(parsed) {
		return &Error{Text: "Each listener must have a different name, listeners: " + shown}
	}
	if !portsDiffer {
		return nil
	}
	for port, sharing := range byPort {
		if len(sharing) > 1 && !oneOfEachFamily(sharing) {
			if len(sharing) == 2 && bothAddresses(sharing) {
				return &Error{Text: fmt.Sprintf("If you have two listeners on the same port then one needs to be IPv4 and "+
					"the other IPv6, listeners: %s, port: %d", shown, port)}
			}
			return &Error{Text: "Each listener must have a different port, listeners: " + shown}
		}
	}
	return nil
}

// oneOfEachFamily: two listeners may share a port where one is IPv4 and the other IPv6.
func oneOfEachFamily(sharing []endpoint) bool {
	if len(sharing) != 2 || !bothAddresses(sharing) {
		return false
	}
	a, b := netip.MustParseAddr(sharing[0].host), netip.MustParseAddr(sharing[1].host)
	return a.Is4() != b.Is4()
}

func bothAddresses(sharing []endpoint) bool {
	return !slices.ContainsFunc(sharing, func(e endpoint) bool {
		_, err := netip.ParseAddr(e.host)
		return err != nil
	})
}

// protocolMap is listener.security.protocol.map. Where that is not set and nobody asks for TLS or
// SASL, the controllers' listeners are plaintext.
func protocolMap(v *Values) (map[string]Protocol, error) {
	protocols := map[string]Protocol{}
	for entry := range strings.SplitSeq(Get(v, listenerProtocols), ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		i := strings.LastIndexByte(entry, ':')
		if i < 0 {
			return nil, &Error{Text: fmt.Sprintf("Error parsing configuration property 'listener.security.protocol.map': begin 0, end -1, length %d", len(entry))}
		}
		name, protocol := strings.ToUpper(strings.TrimSpace(entry[:i])), strings.TrimSpace(entry[i+1:])
		p := slices.Index(protocolNames[:], strings.ToUpper(protocol))
		if p < 0 {
			return nil, &Error{Text: "Invalid security protocol `" + protocol + "` defined in listener.security.protocol.map"}
		}
		if old, ok := protocols[name]; ok {
			return nil, &Error{Text: fmt.Sprintf("Duplicate key ListenerName(%s) (attempted merging values %s and %s)", name, old, Protocol(p))}
		}
		protocols[name] = Protocol(p)
	}
	if v.IsSet(listenerProtocols.Name()) || namesSecurity(v) {
		return protocols, nil
	}
	for _, name := range Get(v, controllerListeners) {
		if name != Plaintext.String() {
			protocols[name] = Plaintext
		}
	}
	return protocols, nil
}

// namesSecurity: some listener is named like a protocol other than PLAINTEXT.
func namesSecurity(v *Values) bool {
	isSecure := func(name string) bool { return slices.Index(protocolNames[:], strings.ToUpper(name)) > 0 }
	return slices.ContainsFunc(Get(v, controllerListeners), isSecure) ||
		slices.ContainsFunc(Get(v, listeners), func(entry string) bool {
			name, _, _ := strings.Cut(entry, "://")
			return isSecure(name)
		})
}
