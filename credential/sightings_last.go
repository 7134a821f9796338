package credential

import "time"

// Use is when a key was used, from where and with what.
type Use struct {
	At             time.Time
	Address, Agent string
}

// LastUse is the last use of a key of an organization that is not written yet; false: there is none. A page that waits
// for a key's first use thus need not wait for the next Flush.
func (s *Sightings) LastUse(organization, key string) (Use, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.seen[sighting{keyUsed, organization, key}]
	if outside := s.seen[sighting{keyUsed, "", key}]; outside.at > last.at { // a call outside of any organization
		last, ok = outside, true
	}
	return Use{At: timeOf(last.at), Address: last.address, Agent: printable(last.agent, 200)}, ok
}
