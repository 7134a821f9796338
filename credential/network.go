package credential

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// maxNetworks is how many networks a credential may be limited to.
const maxNetworks = 50

// networks reads address ranges and single addresses, and writes them as the tables keep them: "10.0.0.0/8 2001:db8::/32",
// each once and in order. Nothing is any address.
func networks(list []string) (string, error) {
	if len(list) > maxNetworks {
		return "", fmt.Errorf("there are %d networks, and %d is the most", len(list), maxNetworks)
	}
	ranges := make([]string, len(list))
	for i, text := range list {
		p, err := network(strings.TrimSpace(text))
		if err != nil {
			return "", err
		}
		ranges[i] = p.String()
	}
	slices.Sort(ranges)
	return strings.Join(slices.Compact(ranges), " "), nil
}

// network reads one range, or one address as the range that it is alone in. Bits behind the range's own are dropped.
func network(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is not an address or a range such as 203.0.113.0/24 or 2001:db8::/32", text)
	}
	return p.Masked(), nil
}

// outside gives the first range that is not within one range of each group; empty: all are. Groups are networks with |
// between; without any, every address is within. No networks at all stand for every address, which no group contains.
func outside(networks, groups string) string {
	if groups == "" {
		return ""
	}
	if networks == "" {
		return "every other address"
	}
	for group := range strings.SplitSeq(groups, "|") {
		for one := range strings.FieldsSeq(networks) {
			if !inGroup(one, group) {
				return one
			}
		}
	}
	return ""
}

// inGroup reports whether a range lies whole within one range of a group.
func inGroup(one, group string) bool {
	inner, err := netip.ParsePrefix(one)
	if err != nil {
		return false
	}
	for text := range strings.FieldsSeq(group) {
		outer, err := netip.ParsePrefix(text)
		if err == nil && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr()) {
			return true
		}
	}
	return false
}

// groups puts groups of networks one after the other, without those that say nothing.
func groups(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "|")
}

// lastGroup is the narrowest of groups: each lies within those before it.
func lastGroup(groups string) string { return groups[strings.LastIndexByte(groups, '|')+1:] }
