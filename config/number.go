package config

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// isTrue says whether a key holds what YAML 1.1 makes a true of. To Anchore
// nothing else switches compression on, not even a 1 or a quoted "true".
func (s *section) isTrue(key string) (bool, error) {
	v, _, err := s.value(key)
	if err != nil {
		return false, err
	}
	if v.plain && slices.Contains(trues, v.text) {
		return true, nil
	}
	if v.text != "" && v.text != "0" && !v.isFalse() {
		s.warnf(key, "counts as off, as with Anchore: only true, yes or on without quotes switches it on")
	}
	return false, nil
}

// The numbers of YAML 1.1 as Anchore's reader takes them.
var (
	wholeForm = regexp.MustCompile(`^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$`)
	floatForm = regexp.MustCompile(`^[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+][0-9]+)?$`)
)

// number reads a number, whole or not, in the spellings of YAML 1.1; a boolean is
// 1 or 0, as it is to Anchore. given is false where the key is missing or empty.
func (s *section) number(key string) (n float64, given bool, err error) {
	v, given, err := s.value(key)
	if !given || v.text == "" && v.expanded {
		return 0, false, err
	}
	n, ok := v.number()
	if !ok {
		return 0, false, s.errorf(key, "wants a number")
	}
	return n, true, nil
}

func (v scalar) number() (n float64, ok bool) {
	if v.isBoolean() {
		b, _ := v.boolean()
		if b {
			n = 1
		}
		return n, true
	}
	text := strings.ReplaceAll(v.text, "_", "")
	switch {
	case wholeForm.MatchString(v.text):
		sign := 1.0
		if strings.HasPrefix(text, "-") {
			sign = -1
		}
		text = strings.TrimLeft(text, "+-")
		if whole, err := strconv.ParseInt(text, 0, 64); err == nil {
			return sign * float64(whole), true
		}
		n, err := strconv.ParseFloat(text, 64) // too large for an int64
		return sign * n, err == nil
	case floatForm.MatchString(v.text):
		n, err := strconv.ParseFloat(text, 64)
		return n, err == nil
	}
	return 0, false
}

// wholeBytes is the largest whole number of bytes within so many KiB: a length
// exceeds the one where it exceeds the other.
func wholeBytes(kilobytes float64) int64 {
	bytes := math.Floor(kilobytes * 1024)
	return int64(max(min(bytes, math.MaxInt64/2), math.MinInt64/2))
}
