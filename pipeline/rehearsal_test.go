package pipeline

import "testing"

// Where no batch was offered there is nothing to be measured, and nothing is asked.
func TestWithoutASampleNothingIsMeasured(t *testing.T) {
	here := Store{Driver: prefixed("s3://b/")}
	p := newPlanner(PlanOptions{Options: Options{Source: here, Destination: here}}, nil)
	if err := p.measure(t.Context()); err != nil {
		t.Error(err)
	}
}
