package canary

import "time"

func init() { certain = []time.Duration{time.Millisecond, 2 * time.Millisecond} }

// LookNow has the next look be due.
func LookNow(w *Watch) { w.began = w.began.Add(-due(w.looked)) }
