package s3

import (
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/kedge/kedge/drivers"
)

// attributes are what every new object gets besides its payload. The zero
// value leaves all to the server.
type attributes struct {
	encryption   types.ServerSideEncryption
	kmsKey       *string
	storageClass types.StorageClass
	acl          types.ObjectCannedACL
}

// attributes translates the options. A storage class that is not given is not
// sent, for it is every server's default and not every server knows the header.
func (o Options) attributes() attributes {
	a := attributes{
		storageClass: types.StorageClass(strings.ToUpper(o.StorageClass)),
		acl:          types.ObjectCannedACL(o.ObjectACL),
	}
	if a.storageClass == "NONE" {
		a.storageClass = ""
	}
	switch {
	case o.Encrypt && o.KeyID != "":
		a.encryption, a.kmsKey = types.ServerSideEncryptionAwsKms, aws.String(o.KeyID)
	case o.Encrypt:
		a.encryption = types.ServerSideEncryptionAes256
	}
	return a
}

// asHeaders adds them to a request for one object.
func (a attributes) asHeaders(header http.Header) {
	if a.encryption != "" {
		header["X-Amz-Server-Side-Encryption"] = []string{string(a.encryption)}
	}
	if a.kmsKey != nil {
		header["X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id"] = []string{*a.kmsKey}
	}
	if a.storageClass != "" {
		header["X-Amz-Storage-Class"] = []string{string(a.storageClass)}
	}
	if a.acl != "" {
		header["X-Amz-Acl"] = []string{string(a.acl)}
	}
}

// grants names what they take besides the permission to put.
func (a attributes) grants() (more string) {
	if a.acl != "" {
		more += ", for objectacl s3:PutObjectAcl"
	}
	if a.kmsKey != nil {
		more += ", for keyid kms:GenerateDataKey and kms:Decrypt"
	}
	return more
}

// ignoredBy says that a server answered without the encryption that was asked
// for: some know nothing of it and store what they get.
func (a attributes) ignoredBy(answered types.ServerSideEncryption) bool {
	return a.encryption != "" && answered == ""
}

func notEncrypted(uri string) *drivers.Error {
	return &drivers.Error{
		Op: "put", URI: uri, Kind: drivers.Config,
		Err:  errors.New("the server ignores encrypt: it would store the object as it is"),
		Mend: "leave out encrypt, or use a server that encrypts",
	}
}
