package remote

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// policy says which addresses are dialled for a host as it was written.
type policy struct {
	literal   bool // an address, which is dialled as it was written
	localhost bool
	allowed   []netip.Prefix
}

// control is called with the address that is about to be dialled, when names were resolved.
func (p policy) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("remote: the address %s is not one of IP", address)
	}
	return p.check(at.Addr())
}

// check says why the address is not dialled, or nil.
func (p policy) check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	inside := embedded(addr)
	within := func(list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(n netip.Prefix) bool { return n.Contains(addr) || inside.IsValid() && n.Contains(inside) })
	}
	switch {
	case within(never):
		return fmt.Errorf("remote: %s is a link-local, multicast or unspecified address, which is never dialled", addr)
	case p.literal, p.localhost && addr.IsLoopback():
		return nil
	case within(private) && !slices.ContainsFunc(p.allowed, func(n netip.Prefix) bool { return n.Contains(addr) }):
		return fmt.Errorf("remote: the name resolves to %s, which is private: allow its network, or write the address", addr)
	}
	return nil
}

// never are dialled under no name and in no way of writing.
var never = prefixes("169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8", "0.0.0.0/8", "::/128", "255.255.255.255/32")

// private is what belongs to a machine, a site or a protocol, and not to the Internet.
var private = prefixes("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::1/128", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "fc00::/7", "fec0::/10")

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// embeds are the networks of IPv6 in whose addresses one of IPv4 is, and at which byte: what is
// compatible with IPv4, NAT64, and 6to4.
var embeds = []struct {
	in netip.Prefix
	at int
}{
	{netip.MustParsePrefix("::/96"), 12},
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

// embedded is the address of IPv4 that one of IPv6 leads to; not valid: to none.
func embedded(addr netip.Addr) netip.Addr {
	for _, e := range embeds {
		if b := addr.As16(); addr.Is6() && e.in.Contains(addr) && addr != netip.IPv6Loopback() {
			return netip.AddrFrom4([4]byte(b[e.at : e.at+4]))
		}
	}
	return netip.Addr{}
}
