package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// inProcess asks every contender in turn, round after round, and prints medians.
func inProcess(ctx context.Context, o options) error {
	f, err := newFixture(o.organizations, o.members)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "guildhall-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h, err := f.open(ctx, dir, generous)
	if err != nil {
		return err
	}
	defer h.Close()
	all, err := contenders(ctx, f, h)
	if err != nil {
		return err
	}
	questions := f.questions(1 << 14)
	for _, c := range all {
		if err := warm(c, questions); err != nil {
			return err
		}
	}
	heading("In process, one core: nanoseconds of CPU time an answer (median of the rounds), every answer compared with the table", o.usual())
	times := make([][]float64, len(all))
	for range o.rounds {
		for i, c := range all {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			times[i] = append(times[i], pace(c, questions, time.Duration(o.seconds*float64(time.Second))/4))
		}
	}
	print(all, times, questions)
	return nil
}

// warm asks everything once, and wants the right answers.
func warm(c contender, questions []question) error {
	for i := range questions {
		if q := &questions[i]; c.answer(q) != q.allow {
			return fmt.Errorf("%s: wrong about %+v", c.name, *q)
		}
	}
	return nil
}

// pace is how many nanoseconds of CPU time an answer takes: what others run on the same cores does not count.
func pace(c contender, questions []question, length time.Duration) float64 {
	began, used, asked := time.Now(), cpuTime(), 0
	for time.Since(began) < length {
		for i := range 64 {
			q := &questions[(asked+i)%len(questions)]
			if c.answer(q) != q.allow {
				panic(c.name + ": wrong answer")
			}
		}
		asked += 64
	}
	return float64((cpuTime() - used).Nanoseconds()) / float64(asked)
}

// cpuTime is what this process has used so far, with its garbage collector.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func print(all []contender, times [][]float64, questions []question) {
	fmt.Printf("%-36s %12s %10s %8s %s\n", "", "ns", "spread", "allocs", "times the floor above it")
	floor := 0.0
	for i, c := range all {
		n := 0
		allocs := testing.AllocsPerRun(200, func() { c.answer(&questions[n%len(questions)]); n++ })
		m := median(times[i])
		ratio := ""
		if c.name[:5] == "floor" {
			floor = m
		} else {
			ratio = fmt.Sprintf("%.2f", m/floor)
		}
		fmt.Printf("%-36s %12.0f %9.0f%% %8.0f %s\n", c.name, m, spread(times[i])*100, allocs, ratio)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// spread is how far the quickest and the slowest round lie apart, as a part of the median.
func spread(values []float64) float64 {
	return (slices.Max(values) - slices.Min(values)) / median(values)
}
