package artifacts

// Stops makes a room die at points, for tests.
func (m *Room) Stops(at func(point string) error) { m.stops = at }

// Batch is how many files one transaction deletes at most.
const Batch = batch
