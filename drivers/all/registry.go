package all

import (
	"context"
	"errors"
	"strings"

	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/cloudfront"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/drivers/s3"
)

// Tree is a store of a tree of files, such as a registry's storage.
type Tree interface {
	drivers.Driver
	drivers.Tree
}

// registryOnly are the parameters of the registry's driver s3 that say how the
// registry itself copies and logs.
var registryOnly = []string{"multipartcopychunksize", "multipartcopymaxconcurrency", "multipartcopythresholdsize", "loglevel"}

// registryBlobs is below what a registry's tree has files that never change
// under their path. Only those may come from a cache.
const registryBlobs = "docker/registry/v2/blobs/"

// NewRegistryOptions gives a pointer to the option struct of a registry's
// storage driver, whose tags say which options are secret.
func NewRegistryOptions(r *config.Registry) (any, error) {
	switch r.Driver {
	case "filesystem":
		o := localfs.DefaultTreeOptions()
		return &o, nil
	case "s3", "s3aws":
		return &s3.Options{Registry: true}, nil
	}
	return nil, r.Errorf("a registry's storage is moved from and to filesystem and s3, not this driver")
}

// CheckRegistry says whether a registry's storage is one that can be opened and
// has options that make sense together. It opens nothing.
func CheckRegistry(r *config.Registry) error {
	_, err := registryOptions(r)
	if err != nil || r.CloudFront == nil {
		return err
	}
	if r.Driver == "filesystem" {
		return r.Locate(r.CloudFront.Errorf("", "the middleware cloudfront works with the storage driver s3 only"))
	}
	_, err = cloudFrontOptions(r)
	return err
}

func registryOptions(r *config.Registry) (any, error) {
	options, err := NewRegistryOptions(r)
	if err != nil {
		return nil, err
	}
	given := r.Options.Without(registryOnly...)
	if err := given.Decode(options); err != nil {
		return nil, r.Locate(err)
	}
	if v, ok := options.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			key := ""
			if r.Driver == "filesystem" {
				key = "rootdirectory"
			}
			return nil, r.Locate(located(given, key, err))
		}
	}
	return options, nil
}

func cloudFrontOptions(r *config.Registry) (o cloudfront.Options, err error) {
	if err := r.CloudFront.Decode(&o); err != nil {
		return o, r.Locate(err)
	}
	if err := o.Validate(); err != nil {
		return o, r.Locate(located(*r.CloudFront, "", err))
	}
	return o, nil
}

// RegistryEnvironment is what opening a registry's storage may need beside its
// configuration.
type RegistryEnvironment struct {
	// Workers is how many operations will be in flight; 0 if the driver may
	// choose.
	Workers int
	// Create says that a root directory that is not there yet may be made.
	Create bool
	// ThroughCloudFront says that blobs are fetched through the middleware
	// cloudfront where one is configured.
	ThroughCloudFront bool
}

// OpenRegistry opens a registry's storage.
func OpenRegistry(ctx context.Context, r *config.Registry, e RegistryEnvironment) (Tree, error) {
	if err := CheckRegistry(r); err != nil {
		return nil, err
	}
	options, err := registryOptions(r)
	if err != nil {
		return nil, err
	}
	if o, ok := options.(*localfs.TreeOptions); ok {
		d, err := localfs.OpenTree(ctx, *o, e.Create)
		if err != nil {
			return nil, r.Locate(located(r.Options, "rootdirectory", err))
		}
		return d, nil
	}
	bucket, err := s3.Open(ctx, *options.(*s3.Options), s3.Tuning{Workers: e.Workers})
	if err != nil {
		return nil, r.Locate(located(r.Options, "", err))
	}
	if r.CloudFront == nil || !e.ThroughCloudFront {
		return bucket, nil
	}
	o, err := cloudFrontOptions(r)
	if err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	front, err := cloudfront.New(bucket, o, func(path string) bool { return strings.HasPrefix(path, registryBlobs) })
	if err != nil {
		return nil, errors.Join(r.Locate(located(*r.CloudFront, "privatekey", err)), bucket.Close())
	}
	return front, nil
}
