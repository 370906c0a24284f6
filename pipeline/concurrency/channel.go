package concurrency

import "context"

// Closed says whether a channel on which nothing is sent is closed.
func Closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Send sends a value, or returns the reason why ctx has ended.
func Send[T any](ctx context.Context, out chan<- T, value T) error {
	select {
	case out <- value:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
