package version4

const upperHex = "0123456789ABCDEF"

// Escape writes a key as S3's signatures of version 4 want the path: everything
// but unreserved characters and slashes percent-encoded.
func Escape(key string) string {
	plain := true
	for i := range len(key) {
		if !unreserved(key[i]) {
			plain = false
			break
		}
	}
	if plain {
		return key
	}
	b := make([]byte, 0, len(key)+len(key)/2)
	for i := range len(key) {
		if c := key[i]; unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return c == '/' || c == '-' || c == '.' || c == '_' || c == '~' ||
		('0' <= c && c <= '9') || ('A' <= c && c <= 'Z') || ('a' <= c && c <= 'z')
}
