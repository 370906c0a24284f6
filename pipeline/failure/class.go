package failure

import (
	"errors"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/pipeline/forms"
)

// Stages, as failures name them.
const (
	StageEnumerate  = "enumerate"
	StageFetch      = "fetch"
	StageRecompress = "recompress"
	StagePut        = "put"
	StageVerify     = "verify"
	StageCommit     = "commit"
	StageDelete     = "delete"
)

// Classes of failures: stable words by which reports group them.
const (
	ClassNoURI          = "no-content-url"
	ClassUnreadableKey  = "unreadable-key"
	ClassInvalidKey     = "invalid-key"
	ClassMissingPayload = "missing-payload"
	ClassFetch          = "fetch-failed"
	ClassDigest         = "wrong-digest"
	ClassLength         = "wrong-length"
	ClassZlib           = "corrupt-zlib"
	ClassPut            = "put-failed"
	ClassVerify         = "not-proven"
	ClassPlaceTaken     = "place-taken"
	ClassRowChanged     = "row-changed"
	ClassDelete         = "source-not-deleted"
	ClassLeft           = "source-left"
	// ClassChanged is the class of documents that Anchore's services changed while they
	// were copied: the next round copies them.
	ClassChanged = "changed-meanwhile"

	// ClassNoStore is the class of rows whose place none of the audited stores can
	// read.
	ClassNoStore = "no-store"
	// ClassUnfound is the class of documents that are sound where their rows say,
	// and that Anchore would not find there.
	ClassUnfound = "unreadable-by-anchore"
)

// StoreFault says whether a class of failures may be a store's fault rather than the
// document's own.
func StoreFault(class string) bool {
	switch class {
	case ClassFetch, ClassPut, ClassVerify, ClassDelete:
		return true
	default:
		return false
	}
}

// Reason is an error in one line, as failures keep it.
func Reason(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// classedError carries the class of a failure through a stream.
type classedError struct {
	class string
	err   error
}

func (e *classedError) Error() string { return e.err.Error() }
func (e *classedError) Unwrap() error { return e.err }

// Classed gives an error a class, which it keeps on its way through a driver.
func Classed(class string, err error) error { return &classedError{class: class, err: err} }

// ClassOf gives the class that an error carries, or the one for the stage that met
// it.
func ClassOf(err error, otherwise string) string {
	var c *classedError
	switch {
	case errors.As(err, &c):
		return c.class
	case errors.Is(err, forms.ErrZlib):
		return ClassZlib
	case drivers.KindOf(err) == drivers.InvalidKey:
		return ClassInvalidKey
	default:
		return otherwise
	}
}
