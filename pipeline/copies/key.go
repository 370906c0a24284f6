package copies

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/kedge/kedge/drivers"
)

// A key in the file is
//
//	bucket   its number in one byte, or 0 and the bucket as text
//	shape    one byte: the forms of archiveId and userId, whether the name is the usual one
//	archiveId, userId, and the name where it is not archiveId + ".json"
//
// A text that stands in its raw form ends with a NUL and a 1; a NUL in it is followed by
// a 255. So texts sort as their bytes do. The last part of a key needs no end.
//
// A key that would be longer than keyBytes is named by its sum: the number 255, and its
// SHA-256. The key itself then stands in the value.
const (
	keyBytes = 1024

	bucketInKey  = 0
	bucketsMost  = 200
	bucketBytes  = 256 // a longer one stands in the key
	numberOfSums = 255
)

// form is how a text stands in a key.
type form byte

const (
	formRaw    form = iota
	formHex64       // 64 lower-case hex digits as 32 bytes
	formSHA256      // "sha256:" and such digits
	formHex32       // 32 lower-case hex digits as 16 bytes
	formUUID        // a UUID in lower case as 16 bytes

	forms

	shapeUsual = 0x80 // the name is archiveId + ".json"
	shapeForm  = 0x07
	userShift  = 3
)

const sha256Prefix = "sha256:"

var errEntry = errors.New("an entry is damaged")

// formOf finds the shortest form of a text, and its bytes unless it is raw.
func formOf(text string) (form, []byte) {
	switch {
	case len(text) == 64:
		if b, ok := unhex(text); ok {
			return formHex64, b
		}
	case len(text) == len(sha256Prefix)+64 && strings.HasPrefix(text, sha256Prefix):
		if b, ok := unhex(text[len(sha256Prefix):]); ok {
			return formSHA256, b
		}
	case len(text) == 32:
		if b, ok := unhex(text); ok {
			return formHex32, b
		}
	case len(text) == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-':
		if b, ok := unhex(strings.ReplaceAll(text, "-", "")); ok && len(b) == 16 {
			return formUUID, b
		}
	}
	return formRaw, nil
}

// unhex reads lower-case digits only, so that the text can be made again.
func unhex(text string) ([]byte, bool) {
	b, err := hex.DecodeString(text)
	return b, err == nil && !strings.ContainsAny(text, "ABCDEF")
}

// bytes is how long a text in this form is; 0 for a raw one.
func (f form) bytes() int {
	switch f {
	case formHex64, formSHA256:
		return 32
	case formHex32, formUUID:
		return 16
	default:
		return 0
	}
}

// text is formOf's inverse for a form that is not raw.
func (f form) text(b []byte) string {
	digits := hex.EncodeToString(b)
	switch f {
	case formSHA256:
		return sha256Prefix + digits
	case formUUID:
		return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]
	default:
		return digits
	}
}

func appendText(b []byte, text string, last bool) []byte {
	if last {
		return append(b, text...)
	}
	for i := range len(text) {
		if b = append(b, text[i]); text[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 1)
}

func cutText(b []byte, last bool) (text string, rest []byte, err error) {
	if last {
		return string(b), nil, nil
	}
	var out []byte
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 || i+1 == len(b) {
			return "", nil, errEntry
		}
		out = append(out, b[:i]...)
		end := b[i+1]
		switch b = b[i+2:]; end {
		case 1:
			return string(out), b, nil
		case 0xff:
			out = append(out, 0)
		default:
			return "", nil, errEntry
		}
	}
}

// whole is the document's key in the file, however long it is. number is that of its
// bucket, 0 where it has none.
func whole(number byte, key drivers.Key, name string) []byte {
	b := make([]byte, 0, 96)
	b = append(b, number)
	if number == bucketInKey {
		b = appendText(b, key.Bucket, false)
	}
	archive, archiveBytes := formOf(key.ArchiveID)
	user, userBytes := formOf(key.UserID)
	usual := name == key.ArchiveID+".json"
	shape := byte(archive) | byte(user)<<userShift
	if usual {
		shape |= shapeUsual
	}
	b = append(b, shape)
	if b = append(b, archiveBytes...); archive == formRaw {
		b = appendText(b, key.ArchiveID, false)
	}
	if b = append(b, userBytes...); user == formRaw {
		b = appendText(b, key.UserID, usual)
	}
	if !usual {
		b = append(b, name...)
	}
	return b
}

// summed says whether a key in the file is only the sum of one.
func summed(key []byte) bool {
	return len(key) == 1+sha256.Size && key[0] == numberOfSums
}

// inFile is the key under which an entry is filed, and the whole one where that differs.
func inFile(number byte, key drivers.Key, name string) (filed, long []byte) {
	filed = whole(number, key, name)
	if len(filed) <= keyBytes {
		return filed, nil
	}
	sum := sha256.Sum256(filed)
	return append([]byte{numberOfSums}, sum[:]...), filed
}

// readKey is whole's inverse. bucket gives a bucket by its number.
func readKey(b []byte, bucket func(number byte) (string, bool)) (key drivers.Key, name string, err error) {
	if len(b) == 0 {
		return key, "", errEntry
	}
	number := b[0]
	b = b[1:]
	if number == bucketInKey {
		if key.Bucket, b, err = cutText(b, false); err != nil {
			return key, "", err
		}
	} else if known, ok := bucket(number); ok {
		key.Bucket = known
	} else {
		return key, "", errEntry
	}
	if len(b) == 0 {
		return key, "", errEntry
	}
	shape := b[0]
	usual := shape&shapeUsual != 0
	if shape&^(shapeUsual|shapeForm|shapeForm<<userShift) != 0 {
		return key, "", errEntry
	}
	if key.ArchiveID, b, err = cutForm(b[1:], form(shape&shapeForm), false); err != nil {
		return key, "", err
	}
	if key.UserID, b, err = cutForm(b, form(shape>>userShift&shapeForm), usual); err != nil {
		return key, "", err
	}
	if !usual {
		return key, string(b), nil
	}
	if len(b) != 0 {
		return key, "", errEntry
	}
	return key, key.ArchiveID + ".json", nil
}

func cutForm(b []byte, f form, last bool) (text string, rest []byte, err error) {
	if f == formRaw {
		return cutText(b, last)
	}
	n := f.bytes()
	if f >= forms || n > len(b) {
		return "", nil, errEntry
	}
	return f.text(b[:n]), b[n:], nil
}
