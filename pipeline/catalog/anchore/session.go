package anchore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// startUpParameters are those that go with the start-up message. A pooler
// refuses most others there, but passes on what is set after connecting.
var startUpParameters = []string{"application_name", "client_encoding", "datestyle", "standard_conforming_strings", "timezone"}

const (
	utf8 = "UTF8"
	// sqlASCII is the encoding of a database that does not know what its text is
	// in: the server passes on bytes as they are.
	sqlASCII = "SQL_ASCII"
)

// prepareSessions has every session of the configuration begin with the
// parameters that it has, and with text in UTF-8 whatever role, database and
// environment say: what was read must be what is written.
func prepareSessions(c *pgx.ConnConfig) {
	if options, ok := parseOptions(c.RuntimeParams["options"]); ok {
		delete(c.RuntimeParams, "options")
		for name, value := range options {
			if _, given := c.RuntimeParams[name]; !given {
				c.RuntimeParams[name] = value
			}
		}
	}
	later := make(map[string]string)
	for name, value := range c.RuntimeParams {
		switch lower := strings.ToLower(name); {
		case lower == "client_encoding":
			delete(c.RuntimeParams, name)
		case lower != "options" && !slices.Contains(startUpParameters, lower):
			later[name] = value
			delete(c.RuntimeParams, name)
		}
	}
	c.RuntimeParams["client_encoding"] = utf8
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error { return beginSession(ctx, conn, later) }
}

// beginSession sets the parameters of a session that has just begun.
func beginSession(ctx context.Context, conn *pgconn.PgConn, parameters map[string]string) error {
	if conn.ParameterStatus("server_encoding") == sqlASCII {
		// The server would refuse a whole statement for one row with bytes that are
		// not UTF-8. Such a row is to be named.
		parameters = maps.Clone(parameters)
		parameters["client_encoding"] = sqlASCII
	}
	if len(parameters) > 0 {
		var set []string
		var args [][]byte
		for _, name := range slices.Sorted(maps.Keys(parameters)) {
			args = append(args, []byte(name), []byte(parameters[name]))
			set = append(set, fmt.Sprintf("set_config($%d, $%d, false)", len(args)-1, len(args)))
		}
		if r := conn.ExecParams(ctx, "SELECT "+strings.Join(set, ", "), args, nil, nil, nil).Read(); r.Err != nil {
			return r.Err
		}
	}
	_, err := conn.Exec(ctx, durable).ReadAll()
	return err
}

// parseOptions reads the start-up parameter "options", as in "-c name=value
// --other=value". It is false where there are none, or others than those two.
func parseOptions(text string) (map[string]string, bool) {
	words := optionWords(text)
	found := make(map[string]string)
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case word == "-c" && i+1 < len(words):
			i++
			word = words[i]
		case strings.HasPrefix(word, "--"), strings.HasPrefix(word, "-c") && len(word) > 2:
			word = word[2:]
		default:
			return nil, false
		}
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return nil, false
		}
		found[strings.ReplaceAll(name, "-", "_")] = value
	}
	return found, len(found) > 0
}

// optionWords splits at white space; a backslash takes the next character as it
// is.
func optionWords(text string) (words []string) {
	var word []byte
	inWord := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			word, inWord = append(word, text[i]), true
		case strings.IndexByte(" \t\n\v\f\r", c) < 0:
			word, inWord = append(word, c), true
		case inWord:
			words, word, inWord = append(words, string(word)), nil, false
		}
	}
	if inWord {
		words = append(words, string(word))
	}
	return words
}
