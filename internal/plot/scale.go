package plot

import "math"

// Scale maps values to pixels.
type Scale struct {
	low, high, from, to float64
	linear              bool
	// unit is what the ticks of a linear scale are round numbers of; 0 is 1.
	unit float64
}

// Log maps the logarithms of values: low to from and high to to, with some air
// where both are one. low must be more than 0.
func Log(low, high, from, to float64) Scale {
	if high <= low*1.01 {
		low, high = low/2, high*2
	}
	return Scale{low: low, high: high, from: from, to: to}
}

// Linear maps 0 to from and high, rounded up to what can be divided well, to to.
func Linear(high, from, to float64) Scale {
	if !(high > 0) {
		high = 1
	}
	return Scale{high: math.Ceil(high/step(high)) * step(high), from: from, to: to, linear: true}
}

// LinearBytes is Linear for bytes, whose units are powers of 1024.
func LinearBytes(high, from, to float64) Scale {
	unit := 1.0
	for high >= 1024*unit {
		unit *= 1024
	}
	s := Linear(high/unit, from, to)
	s.high, s.unit = s.high*unit, unit
	return s
}

// step is the distance of the ticks of a linear scale: 1, 2 or 5 times a power
// of ten, so that there are two to five of them.
func step(high float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(high)))
	for _, digit := range []float64{0.2, 0.5, 1} {
		if high <= 5*digit*power {
			return digit * power
		}
	}
	return 2 * power
}

// Round widens a logarithmic scale to 1, 2 or 5 times a power of ten at both
// ends.
func (s Scale) Round() Scale {
	nice := func(v float64, fits func(candidate float64) bool, digits []float64) float64 {
		power := math.Pow(10, math.Floor(math.Log10(v)))
		for _, digit := range digits {
			if fits(digit * power) {
				return digit * power
			}
		}
		return v
	}
	s.low = nice(s.low, func(c float64) bool { return c <= s.low }, []float64{5, 2, 1})
	s.high = nice(s.high, func(c float64) bool { return c >= s.high }, []float64{1, 2, 5, 10})
	return s
}

// At is where a value is.
func (s Scale) At(v float64) float64 {
	if s.linear {
		return s.from + (s.to-s.from)*v/s.high
	}
	return s.from + (s.to-s.from)*(math.Log(v)-math.Log(s.low))/(math.Log(s.high)-math.Log(s.low))
}

// Ticks are the values to mark: on a linear scale two to five besides 0, on a
// logarithmic one the powers of ten, with 2 and 5 of each where they are few.
func (s Scale) Ticks() []float64 {
	if s.linear {
		var ticks []float64
		unit := max(s.unit, 1)
		every := step(s.high/unit) * unit
		for n := 0; float64(n)*every <= s.high*1.001; n++ {
			ticks = append(ticks, float64(n)*every)
		}
		return ticks
	}
	var few, many []float64
	for power := math.Floor(math.Log10(s.low)); power <= math.Ceil(math.Log10(s.high)); power++ {
		for _, digit := range []float64{1, 2, 5} {
			v := digit * math.Pow(10, power)
			if v < s.low*0.999 || v > s.high*1.001 {
				continue
			}
			many = append(many, v)
			if digit == 1 {
				few = append(few, v)
			}
		}
	}
	if len(few) < 3 {
		return many
	}
	return few
}
