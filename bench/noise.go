package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/guildhall/guildhall/op"
)

// The size of what noise measures.
const (
	noisyRate        = 5000 // requests a second of one key, fifty times what a key may
	noisyConnections = 8
	calmConnections  = 4
	calmPause        = time.Millisecond // after each answer
)

// usual are the limits of a server whose operator has changed none, but for addresses: here everybody has the same.
var usual = op.Limits{PerCredential: op.RateLimit{Times: 100, Per: time.Second}, PerOrganization: op.RateLimit{Times: 500, Per: time.Second}}

// noise asks for members of many organizations, each now and then: alone, beside one key that asks far too much, and beside
// as many requests to somebody else on the same machine.
func noise(ctx context.Context, o options) error {
	if o.organizations < 2 {
		return errors.New("it takes two organizations: one for the noise")
	}
	f, err := newFixture(o.organizations, o.members)
	if err != nil {
		return err
	}
	child, err := start(ctx, o, "limited")
	if err != nil {
		return err
	}
	defer child.stop()
	bare, err := start(ctx, o, "floor")
	if err != nil {
		return err
	}
	defer bare.stop()
	forward, _ := asking(f)
	t := target{child: child, ask: forward, checked: true, allowed: passes}
	questions := f.questions(1 << 12)
	for i := range questions {
		questions[i].organization = 1 + i%(o.organizations-1) // the first one is the noisy one's
	}
	if err := warmUp(ctx, []target{t}, questions, calmConnections); err != nil {
		return err
	}
	var quiet, floor, busy []float64
	var n, aside noisy
	for range o.rounds {
		a, err := calmly(ctx, t, questions, o)
		if err != nil {
			return err
		}
		end := aside.begin(ctx, bare, bareGet(nil))
		b, err := calmly(ctx, t, questions, o)
		if err := errors.Join(err, end()); err != nil {
			return err
		}
		end = n.begin(ctx, child, forward(&question{}))
		c, err := calmly(ctx, t, questions, o)
		if err := errors.Join(err, end()); err != nil {
			return err
		}
		quiet, floor, busy = append(quiet, a), append(floor, b), append(busy, c)
	}
	heading("One key that asks far too much, and the checks of everybody else (SQLite)", o.usual())
	fmt.Printf("the key: %d requests sent, %d of them answered 429\n", n.sent.Load(), n.refused.Load())
	fmt.Printf("everybody else, %d connections with a pause of %s: p99 %.0f µs alone\n", calmConnections, calmPause, median(quiet))
	fmt.Printf("%.0f µs while a bare handler in another process takes as many requests: %s times\n", median(floor), ratioOf(floor, quiet))
	fmt.Printf("%.0f µs while the key asks the same server: %s times, %s times the floor\n", median(busy), ratioOf(busy, quiet), ratioOf(busy, floor))
	return nil
}

// calmly is the p99 in microseconds of those who ask now and then.
func calmly(ctx context.Context, t target, questions []question, o options) (float64, error) {
	asked := &waits{pause: calmPause}
	err := hammerCounting(ctx, t, questions, calmConnections, time.Duration(o.seconds*float64(time.Second)), asked)
	return asked.p99(), err
}

// noisy counts what the noisy key sends.
type noisy struct{ sent, refused atomic.Int64 }

// begin sends until end is called.
func (n *noisy) begin(ctx context.Context, to *child, r request) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	errs := make([]error, noisyConnections)
	for i := range errs {
		all.Go(func() { errs[i] = n.send(ctx, to, r) })
	}
	return func() error { cancel(); all.Wait(); return errors.Join(errs...) }
}

func (n *noisy) send(ctx context.Context, to *child, r request) error {
	conn, err := net.Dial("tcp", to.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	in, tick := bufio.NewReader(conn), time.NewTicker(time.Second*noisyConnections/noisyRate)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := io.Copy(conn, bytes.NewReader(r.text)); err != nil {
			return err
		}
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return err
		}
		n.sent.Add(1)
		if response.StatusCode == http.StatusTooManyRequests {
			n.refused.Add(1)
		}
	}
}
