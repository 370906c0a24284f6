package swift

import (
	"net/http"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// judgeAnswer sorts what the object store answered, by the HTTP status; Swift
// has no codes beside it.
func (s *Store) judgeAnswer(op string, a *answerError) verdict {
	switch a.status {
	case http.StatusUnauthorized:
		return s.judgeToken()
	case http.StatusForbidden:
		return verdict{drivers.Denied, "access denied", grant(op)}
	case http.StatusNotFound:
		return judgeMissing(op)
	case http.StatusConflict:
		if op == "get" || op == "stat" {
			return verdict{Kind: drivers.Corrupt, Text: "a segment of this large object is missing or is not what it was"}
		}
		return verdict{Kind: drivers.Temporary}
	case http.StatusRequestEntityTooLarge:
		if strings.Contains(strings.ToLower(a.text), "quota") {
			return verdict{drivers.Full, "the quota of the container or account is used up", "raise it or delete something"}
		}
	case http.StatusUnprocessableEntity:
		return verdict{Kind: drivers.Corrupt, Text: "what arrived at the server is not what was sent"}
	case http.StatusTooManyRequests, statusRateLimit:
		if s.rateLimitFails {
			return verdict{Mend: "set retry_on_ratelimit: True"}
		}
		return verdict{Kind: drivers.Temporary}
	case http.StatusBadRequest, http.StatusPreconditionFailed:
		return judgeRequest(op, a)
	case http.StatusHTTPVersionNotSupported:
		return verdict{Kind: drivers.Other}
	}
	return verdict(httpstore.JudgeStatus(a.status, "check "+s.method.urlKey+" and os_storage_url"))
}

// statusRateLimit is that of Swift's ratelimit filter.
const statusRateLimit = 498

// judgeToken is about a token that the object store does not accept, though it
// is new. Before the first success it never will; later on, it has expired
// between two requests, or the service that checks it has a bad moment.
func (s *Store) judgeToken() verdict {
	if s.opened {
		return verdict{Kind: drivers.Temporary, Text: "the server does not accept the token"}
	}
	return verdict{drivers.Denied, "the server does not accept the token", "check that auth and storage URL belong together"}
}

func judgeMissing(op string) verdict {
	switch op {
	case "get", "stat", "delete":
		return verdict{Kind: drivers.NotFound, Text: "no such object"}
	default:
		return verdict{drivers.Config, "no such container", "set create_container: True or create it"}
	}
}

// judgeRequest is about a request that the server would not have: for the
// object's name, for a manifest whose segments it does not find, or for what
// only its own words tell.
func judgeRequest(op string, a *answerError) verdict {
	text := strings.ToLower(a.text)
	switch {
	case strings.Contains(text, "mismatch"):
		return verdict{Kind: drivers.Corrupt, Text: "the server's segments are not what was sent: " + a.text}
	case op == "put" && strings.Contains(text, "404 not found"):
		return verdict{Kind: drivers.Temporary} // a segment that not every replica has yet
	case strings.Contains(text, "name length"), strings.Contains(text, "utf8"), strings.Contains(text, "utf-8"):
		if op == "get" || op == "stat" {
			return verdict{Kind: drivers.NotFound, Text: "no such object: the server does not hold such a name"}
		}
		return verdict{drivers.InvalidKey, "the server does not hold such a name: " + a.Error(), ""}
	}
	return verdict{Kind: drivers.Other}
}

// grant names the rights that an operation takes.
func grant(op string) string {
	switch op {
	case "get", "stat", "list":
		return "grant the user reading, by a role on the project or the container's X-Container-Read"
	case "put", "delete", "abort":
		return "grant the user writing, by a role on the project or X-Container-Write of the container and of that of the segments"
	default:
		return "grant the user the container, by a role on the project"
	}
}
