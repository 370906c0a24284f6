package canary

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/kedge/kedge/drivers"
)

// head is the first line of a canary's file: the document in JSON. The payload follows,
// as the destination holds it.
type head struct {
	Name        text            `json:"name"`
	Key         map[string]text `json:"key"`
	Row         text            `json:"row"`
	Source      text            `json:"source"`
	Destination text            `json:"destination"`
	Back        text            `json:"back"`
	Place       text            `json:"place"`
	MD5         string          `json:"md5"`
	Bytes       int64           `json:"bytes"`
}

// text is a string of any bytes: JSON itself has room for UTF-8 only.
type text string

type anyBytes struct {
	Bytes []byte `json:"bytes"`
}

// MarshalJSON gives a string, or an object where it would not come out as it went in.
func (t text) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(t)) {
		return json.Marshal(string(t))
	}
	return json.Marshal(anyBytes{[]byte(t)})
}

// UnmarshalJSON takes what MarshalJSON gives.
func (t *text) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(b, []byte("{")) {
		return json.Unmarshal(b, (*string)(t))
	}
	var other anyBytes
	err := json.Unmarshal(b, &other)
	*t = text(other.Bytes)
	return err
}

// headLine gives the first line for a document, and room for any MD5 and length, which
// are known only when the payload was read.
func headLine(d Document, place string) ([]byte, error) {
	h := head{
		Name: text(d.Name), Row: text(d.Row), Source: text(d.Source), Destination: text(d.Destination), Back: text(d.Back), Place: text(place),
		Key: map[string]text{"user": text(d.Key.UserID), "bucket": text(d.Key.Bucket), "archive_id": text(d.Key.ArchiveID)},
	}
	h.MD5, h.Bytes = strings.Repeat("0", 32), math.MaxInt64
	longest, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	h.MD5, h.Bytes = d.MD5, d.Bytes
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return append(line, strings.Repeat(" ", max(0, len(longest)-len(line)))+"\n"...), nil
}

// readHead reads such a line.
func readHead(line []byte) (d Document, place string, err error) {
	var h head
	if err := json.Unmarshal(line, &h); err != nil {
		return d, "", err
	}
	if len(h.MD5) != 32 || h.Bytes < 0 {
		return d, "", fmt.Errorf("no MD5 and length: %q, %d", h.MD5, h.Bytes)
	}
	return Document{
		Name: string(h.Name), Row: string(h.Row), Source: string(h.Source), Destination: string(h.Destination), Back: string(h.Back),
		Key: drivers.Key{UserID: string(h.Key["user"]), Bucket: string(h.Key["bucket"]), ArchiveID: string(h.Key["archive_id"])},
		MD5: h.MD5, Bytes: h.Bytes,
	}, string(h.Place), nil
}
