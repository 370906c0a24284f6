package faults_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Every test closes its proxies: then no goroutine may be left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
