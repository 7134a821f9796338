package op

import (
	"net/netip"
	"time"
)

// Limits bound how often somebody may call. The zero value of each bounds nothing.
type Limits struct {
	PerAddress      RateLimit     // of one client address, before anything else is looked at
	PerCredential   RateLimit     // of one credential
	PerOrganization RateLimit     // about one organization, whoever calls
	Failures        RateLimit     // of one client address with credentials that are not good, where checks are asked
	Longest         time.Duration // of the transaction of a change; 0: 30 seconds, which is far more than one waits for others, and less than proxies wait
	// Exempt says which addresses are not limited at all; nil exempts none. The demo exempts loopback.
	Exempt func(address string) bool
}

// network is the address as limits count it: an IPv6 host owns its whole /64.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap()
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// The limits that every operation shares, as servers name them to each other.
const (
	ofAddress      = "address"
	ofCredential   = "credential"
	ofFailures     = "failures"
	ofOrganization = "organization"
)

// limitNamed is a limit by its name: one of those, or that of an operation. Another server may have one more.
func (s *Service) limitNamed(name string) RateLimit {
	switch name {
	case ofAddress:
		return s.config.Limits.PerAddress
	case ofCredential:
		return s.config.Limits.PerCredential
	case ofFailures:
		return s.config.Limits.Failures
	case ofOrganization:
		return s.config.Limits.PerOrganization
	}
	if d, ok := s.table[name]; ok {
		return d.info.Limit
	}
	return RateLimit{}
}

// Taken gives what was taken here since it was last called, to be told to the other servers; empty where there are none.
func (s *Service) Taken() Taken { return s.buckets.told() }

// TookElsewhere counts here what was taken at another server: so a limit holds among all of them. A burst that comes to
// several at once, before they have told each other, may be as many times as large; what was too much is waited for.
func (s *Service) TookElsewhere(t Taken) {
	now := s.config.Now()
	for name, times := range t {
		if limit := s.limitNamed(name); limit.Times > 0 {
			s.buckets.add(times, limit, now)
		}
	}
}

// limitAddress refuses a call whose address has made too many.
func (s *Service) limitAddress(d *declared, c Caller) error {
	if s.exempt(c) {
		return nil
	}
	who := network(c.Address)
	now := s.config.Now()
	if _, wait := s.buckets.take(bucketKey{ofAddress, who}, s.config.Limits.PerAddress, now); wait > 0 {
		return limited(wait)
	}
	if _, wait := s.buckets.take(bucketKey{d.info.Name, who}, d.info.Limit, now); wait > 0 {
		return limited(wait)
	}
	return nil
}

// LimitCredential counts a request that is no operation, such as a check for a proxy, as one of the credential: both
// share its limit. It refuses one too many.
func (s *Service) LimitCredential(c Caller, credential string) (Rate, error) {
	return s.limitCredential(c, credential)
}

// LimitFailures refuses a caller whose address has sent too many credentials that are not good. It counts nothing: whoever
// sends good ones shares an address with whoever does not.
func (s *Service) LimitFailures(c Caller) error {
	if s.exempt(c) {
		return nil
	}
	return limitedAfter(s.buckets.wait(bucketKey{ofFailures, network(c.Address)}, s.config.Limits.Failures, s.config.Now()))
}

// CountFailure counts a credential that was not good against the caller's address.
func (s *Service) CountFailure(c Caller) {
	if !s.exempt(c) {
		s.buckets.take(bucketKey{ofFailures, network(c.Address)}, s.config.Limits.Failures, s.config.Now())
	}
}

func (s *Service) exempt(c Caller) bool {
	return c.Machine || c.System != "" || s.config.Limits.Exempt != nil && s.config.Limits.Exempt(c.Address)
}

// limitCredential refuses a call whose credential has made too many, and says what is left.
func (s *Service) limitCredential(c Caller, credential string) (Rate, error) {
	if credential == "" || s.config.Limits.Exempt != nil && s.config.Limits.Exempt(c.Address) {
		return Rate{}, nil
	}
	now := s.config.Now()
	rate, wait := s.buckets.take(bucketKey{ofCredential, credential}, s.config.Limits.PerCredential, now)
	if wait > 0 {
		s.turned.note(turnedKey{credential: c.Credential}, rate, now.Add(wait))
		return rate, limited(wait)
	}
	return rate, nil
}

// limitedAfter is no error where there is nothing to wait for.
func limitedAfter(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	return limited(wait)
}

func limited(wait time.Duration) error {
	wait = wait.Truncate(time.Second) + time.Second
	return &Error{Kind: Limited, Text: "too many requests: try again in " + wait.String(), RetryAfter: wait}
}
