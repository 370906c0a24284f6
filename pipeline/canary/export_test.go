package canary

import "time"

func init() { certain = []time.Duration{time.Millisecond, 2 * time.Millisecond} }
