package usage

import (
	"fmt"
	"strings"

	"github.com/guildhall/guildhall/internal/period"
)

// months are an organization's months: counted from an anchor, and before that from those that it had before. A month that
// was running when the anchor changed ended then, so nothing that was counted moves to another month.
type months []stretch

// stretch is a time in which months were counted from one anchor.
type stretch struct {
	anchor int64
	until  int64 // of the last one: never
}

const never = int64(1<<63 - 1)

// monthsOf reads the present anchor, and the former ones as the directory keeps them.
func monthsOf(anchor int64, history string) (all months, err error) {
	for _, one := range strings.Fields(history) {
		var s stretch
		if _, err := fmt.Sscanf(one, "%d:%d", &s.anchor, &s.until); err != nil {
			return nil, fmt.Errorf("a former anchor of periods, %q: %w", one, err)
		}
		all = append(all, s)
	}
	return append(all, stretch{anchor, never}), nil
}

// at is the month in which a moment is.
func (m months) at(moment int64) period.Period {
	i := 0
	for moment >= m[i].until {
		i++
	}
	p := period.Month(m[i].anchor, moment)
	return period.Period{Start: m.start(i, p), End: m.end(i, p)}
}

// start is where a month of a stretch begins: not in the stretch before, unless it is the month that ran there.
func (m months) start(i int, p period.Period) int64 {
	if i == 0 || p.Start >= m[i-1].until {
		return p.Start
	}
	if before := period.Month(m[i-1].anchor, m[i-1].until-1); before.Start == p.Start {
		return m.start(i-1, before)
	}
	return m[i-1].until
}

// end is where a month of a stretch ends: with the stretch, unless the same month goes on in the next one.
func (m months) end(i int, p period.Period) int64 {
	if p.End <= m[i].until {
		return p.End
	}
	next := period.Month(m[i+1].anchor, m[i].until)
	if next.Start != p.Start {
		return m[i].until
	}
	return m.end(i+1, next)
}
