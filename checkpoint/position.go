package checkpoint

import (
	"encoding/json"
	"unicode/utf8"
)

// Position is a place in the catalog's order, just behind one document.
type Position struct {
	Bucket    string
	ArchiveID string
	UserID    string
	Name      string
}

// positionJSON is a Position as it stands in the header. JSON holds UTF-8 only:
// a position with other bytes is in Raw, in the order of its fields.
type positionJSON struct {
	Bucket    string   `json:"bucket"`
	ArchiveID string   `json:"archive_id"`
	UserID    string   `json:"user_id"`
	Name      string   `json:"name"`
	Raw       [][]byte `json:"raw,omitempty"`
}

// MarshalJSON keeps every byte.
func (p Position) MarshalJSON() ([]byte, error) {
	out := positionJSON{Bucket: p.Bucket, ArchiveID: p.ArchiveID, UserID: p.UserID, Name: p.Name}
	if !utf8.ValidString(p.Bucket + "\x00" + p.ArchiveID + "\x00" + p.UserID + "\x00" + p.Name) {
		out.Raw = [][]byte{[]byte(p.Bucket), []byte(p.ArchiveID), []byte(p.UserID), []byte(p.Name)}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Position) UnmarshalJSON(text []byte) error {
	var in positionJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*p = Position{in.Bucket, in.ArchiveID, in.UserID, in.Name}
	if len(in.Raw) == 4 {
		*p = Position{string(in.Raw[0]), string(in.Raw[1]), string(in.Raw[2]), string(in.Raw[3])}
	}
	return nil
}
