package progress

import (
	"fmt"
	"time"
)

// bottleneck is what keeps a run from being faster.
type bottleneck struct{ stage, why string }

// leastShare is how busy a stage's workers must be for it to be one, and
// fullShare how much of what a store is allowed to have in flight is there when
// the store is taken to be.
const (
	leastShare = 0.5
	fullShare  = 0.8
)

// findBottleneck names the stage whose workers were the busiest, of those before
// which batches were waiting. Two stages may share a store so that neither has
// much to do but wait for the other: then it is the busier one of them.
func (p *Progress) findBottleneck(before, now sample, stages []StageState) bottleneck {
	found := busiest(stages, func(i Stage) bool {
		return stages[i].BusyShare >= leastShare && max(before.queued[i], now.queued[i]) > 0
	})
	if found == StagePrepare {
		source := p.pace.share(func(s sample) float64 { return s.source.share() }) >= fullShare
		destination := p.pace.share(func(s sample) float64 { return s.destination.share() }) >= fullShare
		found = busiest(stages, func(i Stage) bool {
			return source && (i == StageFetch || i == StageDelete) || destination && (i == StagePut || i == StageVerify)
		})
	}
	switch found {
	case StageFetch, StageDelete:
		return bottleneck{found.String(), p.run.Source.why(before.source, now.source, now.at.Sub(before.at))}
	case StagePut, StageVerify:
		return bottleneck{found.String(), p.run.Destination.why(before.destination, now.destination, now.at.Sub(before.at))}
	case StageRecompress:
		return bottleneck{found.String(), "compression takes what the processors can give"}
	case StageCommit:
		return bottleneck{found.String(), "the database takes " + brief(mean(before.commits, now.commits)) + " for a batch"}
	default:
		return bottleneck{}
	}
}

// busiest is the stage with the busiest workers, of those that are in question;
// StagePrepare, which never is, if none is.
func busiest(stages []StageState, inQuestion func(Stage) bool) Stage {
	found := StagePrepare
	for i := Stage(0); i < stageCount; i++ {
		if inQuestion(i) && (found == StagePrepare || stages[i].BusyShare > stages[found].BusyShare) {
			found = i
		}
	}
	return found
}

// why says why a store's operations take their time.
func (s Side) why(before, now answers, passed time.Duration) string {
	// Operations in flight that are not at the back end wait for a limit.
	atBackEnd := (now.sum - before.sum).Seconds() / passed.Seconds()
	if s.Limits != "" && atBackEnd < float64(before.inFlight+now.inFlight)/4 {
		return fmt.Sprintf("%s is held back by %s", s.Store.Name(), s.Limits)
	}
	if now.count == before.count {
		return s.Store.Name() + " has not answered lately"
	}
	return fmt.Sprintf("%s answers in %s", s.Store.Name(), brief(mean(before, now)))
}

func mean(before, now answers) time.Duration {
	if now.count == before.count {
		return 0
	}
	return (now.sum - before.sum) / time.Duration(now.count-before.count)
}

// brief writes a time in two or three digits.
func brief(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
}
