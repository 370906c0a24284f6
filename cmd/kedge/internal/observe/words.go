package observe

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ByteCount writes a number of bytes for people.
func ByteCount(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exponent := float64(n)/unit, 0
	for value >= unit && exponent < 4 {
		value /= unit
		exponent++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exponent])
}

// byteRate writes bytes a second.
func byteRate(v float64) string { return ByteCount(int64(v)) + "/s" }

// shortBytes writes a round number of bytes in little room.
func shortBytes(v float64) string {
	exponent := 0
	for v >= 1024 && exponent < 5 {
		v /= 1024
		exponent++
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + []string{" B", " KiB", " MiB", " GiB", " TiB", " PiB"}[exponent]
}

// groupDigits writes a number with a narrow space between thousands.
func groupDigits(n int64) string {
	digits := strconv.FormatInt(n, 10)
	if len(digits) <= 4 {
		return digits
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteString("\u202f")
		}
		b.WriteRune(d)
	}
	return b.String()
}

// Number writes how many there are of something, whose plural is made with an s or is given.
func Number(n int64, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprintf("%d %s", n, many[0])
	default:
		return fmt.Sprintf("%d %ss", n, one)
	}
}

// rate writes documents a second: as exact as it can be read.
func rate(v float64) string {
	if v < 9.95 {
		return fmt.Sprintf("%.1f/s", v)
	}
	return groupDigits(int64(math.Round(v))) + "/s"
}

// shortCount writes a round number in little room.
func shortCount(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%gk", v/1e3)
	default:
		return fmt.Sprintf("%.4g", v)
	}
}

// seconds writes a time such as a latency.
func seconds(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.001:
		return fmt.Sprintf("%.2g ms", 1000*v)
	case v < 1:
		return fmt.Sprintf("%.3g ms", 1000*v)
	case v < 100:
		return fmt.Sprintf("%.3g s", v)
	default:
		return duration(v)
	}
}

// duration writes how long something took or takes.
func duration(v float64) string {
	d := time.Duration(v * float64(time.Second))
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// percent writes a share.
func percent(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }

// clock writes a moment.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }
