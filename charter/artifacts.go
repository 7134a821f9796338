package charter

import "go.yaml.in/yaml/v3"

// Artifacts says of an organization's stored files what is counted.
type Artifacts struct {
	// Meter is the gauge that always is the number of bytes stored; "" if none is.
	Meter string
}

// artifacts reads what is counted of stored files: a gauge of the file, since what is deleted is there no more.
func (p *parser) artifacts(n *yaml.Node) {
	p.fields(n, "artifacts", fields{"meter": func(n *yaml.Node) {
		id := p.word(n, "meter")
		meter, known := p.c.Meter(id)
		switch {
		case id == "":
		case !known:
			p.fail(n, "no meter is called %q%s", id, p.didYouMean(id, p.meterIDs()))
		case meter.Kind != Gauge:
			p.fail(n, "the meter %q is a %s; what is stored is a gauge", id, meter.Kind)
		default:
			p.c.Artifacts.Meter = id
		}
	}})
}
