package main

import (
	"math/rand/v2"
	"testing"

	"github.com/anishathalye/porcupine"
)

// What is left of a history is legal when all of it is.
func TestWhatTellsNothingIsLeftOut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var verdicts [2]int
	less := 0
	for range 3000 {
		history := overlapping(rng)
		want := porcupine.CheckOperations(allowance, history)
		left := telling(history)
		if got := porcupine.CheckOperations(allowance, left); got != want {
			t.Fatalf("%v: legal %t, what is left of it %t: %v", history, want, got, left)
		}
		less += len(history) - len(left)
		verdicts[map[bool]int{true: 1}[want]]++
	}
	if verdicts[0] < 100 || verdicts[1] < 100 || less < 1000 {
		t.Errorf("%d illegal, %d legal histories, %d operations left out: that proves little", verdicts[0], verdicts[1], less)
	}
}

// overlapping is a history of eight operations that overlap at random.
func overlapping(rng *rand.Rand) (all []porcupine.Operation) {
	for n := range 8 {
		call := rng.Int64N(30)
		o := porcupine.Operation{ClientId: n, Call: call, Return: call + 1 + rng.Int64N(20), Input: step{}, Output: rng.IntN(2) == 0}
		if rng.IntN(3) == 0 {
			if o.Input, o.Output = (step{true, rng.IntN(2) == 0}), false; rng.IntN(3) == 0 {
				o.Return = never
			}
		}
		all = append(all, o)
	}
	return all
}
