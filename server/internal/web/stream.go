package web

import (
	"io"
	"net/http"
	"time"
)

// slowest is how many bytes a second a long body or answer has to make in the mean, beyond the first minute: whoever is
// slower holds a connection for nothing. T-100.
const slowest = 1 << 10

// Upload is the whole body of a request, without the bound of JSON bodies: its reader bounds it. It may take as long as it
// comes on.
func Upload(w http.ResponseWriter, r *http.Request) io.Reader {
	body := stateOf(r).body
	if body == nil {
		return http.NoBody
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{}) // that of the answer begins with it
	return &patient{body: body, until: control.SetReadDeadline, began: time.Now()}
}

// Patient is what a long answer is read from: the answer may take as long as it goes on.
func Patient(w http.ResponseWriter, from io.Reader) io.Reader {
	return &patient{body: from, until: http.NewResponseController(w).SetWriteDeadline, began: time.Now()}
}

// patient moves a deadline on with what is read.
type patient struct {
	body  io.Reader
	until func(time.Time) error
	began time.Time
	n     int64
}

// Read reads on.
func (p *patient) Read(b []byte) (int, error) {
	_ = p.until(p.began.Add(ReadBodyTimeout + time.Duration(p.n/slowest)*time.Second))
	n, err := p.body.Read(b)
	p.n += int64(n)
	return n, err
}
