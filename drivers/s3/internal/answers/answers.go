// Package answers sorts what S3 servers answer: by the code of an error, else by the
// HTTP status, into the kinds of error on which kedge decides.
package answers

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/httpstore"
)

// verdict is a httpstore.Verdict, so that the table is short.
type verdict httpstore.Verdict

// answers sorts S3's error codes: Amazon's, and those that MinIO, Ceph,
// Scality and versitygw add.
var answers = map[string]verdict{
	"NoSuchKey":    {Kind: drivers.NotFound, Text: "no such object"},
	"NoSuchBucket": {drivers.Config, "no such S3 bucket", "check bucket"},
	// An upload that somebody aborted can be started again.
	"NoSuchUpload": {Kind: drivers.Temporary, Text: "the multipart upload was aborted by somebody else"},

	"InvalidAccessKeyId":    {drivers.Denied, "the server does not know the access key", "check access_key"},
	"XAdminUserNotFound":    {drivers.Denied, "the server does not know the access key", "check access_key"}, // versitygw
	"SignatureDoesNotMatch": {drivers.Denied, "the secret key is not the access key's, or a proxy changes requests on their way", "check secret_key, and what is between"},
	"ExpiredToken":          {drivers.Denied, "the credentials have expired", "renew them"},
	"InvalidToken":          {drivers.Denied, "the server does not accept the session token", "renew the credentials"},
	"AccountProblem":        {Kind: drivers.Denied},
	"AllAccessDisabled":     {Kind: drivers.Denied},
	"RequestTimeTooSkewed":  {drivers.Denied, "the clocks of this machine and the server differ too much", "set the clock"},
	"InvalidObjectState":    {drivers.Other, "the object is in an archive storage class", "restore it there first"},

	"BadDigest":                   {Kind: drivers.Corrupt, Text: "what arrived at the server is not what was sent"},
	"InvalidDigest":               {Kind: drivers.Corrupt, Text: "the server does not accept the Content-MD5"},
	"XAmzContentSHA256Mismatch":   {Kind: drivers.Corrupt, Text: "what arrived at the server is not what was sent"},
	"XAmzContentChecksumMismatch": {Kind: drivers.Corrupt, Text: "what arrived at the server is not what was sent"},

	"KeyTooLongError":               {Kind: drivers.InvalidKey, Text: "the server does not hold keys of this length"},
	"KeyTooLong":                    {Kind: drivers.InvalidKey, Text: "the server does not hold keys of this length"},
	"XMinioInvalidObjectName":       {Kind: drivers.InvalidKey, Text: "the server does not hold such a key"},
	"XMinioInvalidResourceName":     {Kind: drivers.InvalidKey, Text: "the server does not hold such a key"},
	"InvalidObjectName":             {Kind: drivers.InvalidKey, Text: "the server does not hold such a key"},
	"InvalidURI":                    {Kind: drivers.InvalidKey, Text: "the server does not hold such a key"},
	"XMinioParentIsObject":          {Kind: drivers.InvalidKey, Text: beneathObject},
	"ObjectParentIsFile":            {Kind: drivers.InvalidKey, Text: beneathObject},
	"XMinioObjectExistsAsDirectory": {Kind: drivers.InvalidKey, Text: aboveObjects},
	"ExistingObjectIsDirectory":     {Kind: drivers.InvalidKey, Text: aboveObjects},
	"DirectoryObjectContainsData":   {Kind: drivers.InvalidKey, Text: "the server keeps no payload under a key that ends in a slash"},

	FolderInUse: {Kind: drivers.Other, Text: "the server does not delete an object whose key ends in a slash while there are objects beneath it"},

	"EntityTooLarge":                 {Kind: drivers.TooLarge, Text: "larger than the server takes"},
	"MaxMessageLengthExceeded":       {Kind: drivers.TooLarge, Text: "larger than the server takes"},
	"XMinioStorageFull":              {Kind: drivers.Full, Text: "the server's storage is full"},
	"QuotaExceeded":                  {Kind: drivers.Full, Text: "the quota of the S3 bucket or user is used up"},
	"XMinioBucketQuotaExceeded":      {Kind: drivers.Full, Text: "the quota of the S3 bucket is used up"},
	"XMinioAdminBucketQuotaExceeded": {Kind: drivers.Full, Text: "the quota of the S3 bucket is used up"},

	// Answers with a status below 500, some with 200, that a second attempt
	// may not get.
	"SlowDown":                   {Kind: drivers.Temporary},
	"RequestTimeout":             {Kind: drivers.Temporary},
	"RequestTimeoutException":    {Kind: drivers.Temporary},
	"IncompleteBody":             {Kind: drivers.Temporary},
	"InternalError":              {Kind: drivers.Temporary},
	"ServiceUnavailable":         {Kind: drivers.Temporary},
	"OperationAborted":           {Kind: drivers.Temporary},
	"ConditionalRequestConflict": {Kind: drivers.Temporary},
	"Throttling":                 {Kind: drivers.Temporary},
	"ThrottlingException":        {Kind: drivers.Temporary},
	"RequestThrottled":           {Kind: drivers.Temporary},
	"TooManyRequests":            {Kind: drivers.Temporary},
	"BandwidthLimitExceeded":     {Kind: drivers.Temporary},

	"InvalidStorageClass":                            {drivers.Config, "the server does not know this storage class", "check storageclass"},
	"AccessControlListNotSupported":                  {drivers.Config, "the S3 bucket takes no access control lists", "leave out objectacl"},
	"KMS.NotFoundException":                          {drivers.Config, "the key for encryption is not there", "check keyid"},
	"kms:KeyNotFound":                                {drivers.Config, "the key for encryption is not there", "check keyid"}, // MinIO
	"kms:NotAuthorized":                              {drivers.Denied, "the key for encryption may not be used", "grant kms:GenerateDataKey and kms:Decrypt on keyid"},
	"KMS.DisabledException":                          {drivers.Config, "the key for encryption is disabled", "check keyid"},
	"ServerSideEncryptionConfigurationNotFoundError": {drivers.Config, "", "check encrypt"},
	"PermanentRedirect":                              {drivers.Config, "the S3 bucket is in another region", SetRegion},
	"AuthorizationHeaderMalformed":                   {drivers.Config, "", SetRegion},
	"IllegalLocationConstraintException":             {drivers.Config, "", SetRegion},
	"InvalidLocationConstraint":                      {drivers.Config, "", "check region"},
	"InvalidBucketName":                              {drivers.Config, "not a name that the server allows for an S3 bucket", "check bucket"},
	"BucketAlreadyExists":                            {drivers.Config, "the S3 bucket belongs to somebody else", "choose another name for bucket"},
}

const (
	// SetRegion is a mend, to be replaced by what helps with the endpoint at hand.
	SetRegion = "set region to the S3 bucket's"

	// FolderInUse is versitygw's code for a folder that is not deleted because of what
	// lies in it.
	FolderInUse = "ErrDirectoryNotEmpty"

	beneathObject = "the server cannot hold this key beneath an object: another key is its beginning up to a slash"
	aboveObjects  = "the server cannot hold this key above objects: it is another key's beginning up to a slash"
)

// Judge sorts what the server answered: by its code, else by the HTTP
// status (an answer to HEAD has no body and so no code).
func Judge(op, code, message string, status int) httpstore.Verdict {
	v, known := answers[code]
	if !known {
		v = judgeStatus(op, code, message, status)
	}
	if v.Text == "" {
		v.Text = quoteAnswer(code, message, status)
	}
	switch {
	case v.Kind == drivers.InvalidKey && (op == "get" || op == "stat"):
		v.Kind, v.Text = drivers.NotFound, "no such object: "+v.Text
	case v.Kind == drivers.NotFound && op == "put":
		// A server with folders, one of which another request has just removed
		// as empty.
		v.Kind, v.Text = drivers.Temporary, quoteAnswer(code, message, status)
	}
	return httpstore.Verdict(v)
}

// Known says whether a code is one of S3's own, and not a proxy's word.
func Known(code string) bool {
	_, known := answers[code]
	return known
}

// Lacking is the permission that an answer says is lacking, "" where it names none.
func Lacking(message string) string {
	if found := lacking.FindStringSubmatch(message); found != nil {
		return found[1]
	}
	return ""
}

// lacking finds the permission in Amazon's more telling answers.
var lacking = regexp.MustCompile(`not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)`)

func judgeStatus(op, code, message string, status int) verdict {
	switch {
	case status == http.StatusNotFound && (op == "get" || op == "stat" || op == "delete"):
		return verdict{Kind: drivers.NotFound, Text: "no such object"}
	case status == http.StatusForbidden, status == http.StatusUnauthorized, code == "AccessDenied":
		if permission := Lacking(message); permission != "" {
			return verdict{drivers.Denied, "access denied", "grant " + permission}
		}
		return verdict{drivers.Denied, "access denied", Grant(op)}
	case code == "NotImplemented" && op == "put" && strings.Contains(strings.ToLower(message), "encryption"): // MinIO
		return verdict{drivers.Config, "the server has no keys to encrypt with", "leave out encrypt, or set up its key management"}
	case status == http.StatusTemporaryRedirect: // until Amazon's DNS knows a new S3 bucket
		return verdict{Kind: drivers.Temporary}
	case status == http.StatusBadRequest && strings.Contains(message, "AWS4-HMAC-SHA256") && code == "InvalidRequest":
		return verdict{drivers.Config, "the server takes signatures of version 4 only", "leave out v4auth: false"}
	case status == http.StatusBadRequest && aboutKey(message):
		return verdict{drivers.InvalidKey, "the server does not hold such a key: " + quoteAnswer(code, message, status), ""}
	}
	return verdict(httpstore.JudgeStatus(status, "check url and region"))
}

// aboutKey recognises a 400 without a code of its own for the object's name.
func aboutKey(message string) bool {
	message = strings.ToLower(message)
	for _, word := range []string{"object name", "object key", "key name", "the key", "file name"} {
		if strings.Contains(message, word) {
			return true
		}
	}
	return false
}

// quoteAnswer is the server's answer in its own words.
func quoteAnswer(code, message string, status int) string {
	text := "the server answered"
	if status != 0 {
		text += fmt.Sprintf(" %d", status)
	}
	if code != "" && code != "UnknownError" {
		text += " " + code
	}
	if message = strings.TrimSpace(message); message != "" && message != code {
		text += ": " + message
	}
	return text
}

// Grant names the permission that an operation takes.
func Grant(op string) string {
	switch op {
	case "get", "stat":
		return "grant s3:GetObject"
	case "put":
		return "grant s3:PutObject"
	case "delete":
		return "grant s3:DeleteObject"
	case "abort":
		return "grant s3:AbortMultipartUpload"
	case "list uploads":
		return "grant s3:ListBucketMultipartUploads"
	case "list parts":
		return "grant s3:ListMultipartUploadParts"
	case "locate":
		return "grant s3:GetBucketLocation"
	default:
		return "grant s3:ListBucket"
	}
}
